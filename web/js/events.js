/**
 * Server-sent events over fetch: an EventSource cannot send the Authorization header, and a token in the address would
 * end in logs. Read as the HTML standard says, section 9.2.6.
 */

/** @typedef {{name: string, id: string, data: string}} ServerEvent */

/**
 * The events of a response's body, until it ends.
 * @param {Response} response
 * @param {() => void} heard called for whatever arrives, keep-alive comments too
 * @returns {AsyncGenerator<ServerEvent>}
 */
export async function* readEvents(response, heard) {
  if (!response.body) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const parser = new EventParser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      yield* parser.push(value);
    }
  } finally {
    // Whoever stops reading also lets go of the connection.
    reader.cancel().catch(() => {});
  }
}

class EventParser {
  #rest = '';
  #id = '';
  #name = '';
  /** @type {string[]} */
  #data = [];

  /** @param {string} text @returns {Generator<ServerEvent>} */
  *push(text) {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line) this.#field(line);
      else yield* this.#dispatch();
    }
  }

  /** @param {string} line */
  #field(line) {
    const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
    if (name === 'event') this.#name = value;
    else if (name === 'id') this.#id = value;
    else if (name === 'data') this.#data.push(value);
  }

  *#dispatch() {
    if (this.#data.length) yield { name: this.#name || 'message', id: this.#id, data: this.#data.join('\n') };
    this.#name = '';
    this.#data = [];
  }
}
