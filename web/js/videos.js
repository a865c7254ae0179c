/**
 * The videos that the page knows, each in its newest state. Whoever learns something puts it here; whoever shows
 * something listens: "change" ({video, before}) and "remove" ({id}).
 */

/** @typedef {import('./types.js').Video} Video */

const FINAL = new Set(['completed', 'failed', 'canceled']);

/** @param {Video} video */
export const isFinal = (video) => FINAL.has(video.status);

/** Newest first; ids break ties, as in the service's own order. @param {Video} a @param {Video} b */
export const newestFirst = (a, b) => b.created_at - a.created_at || (a.id < b.id ? 1 : -1);

export class Videos extends EventTarget {
  /** @type {Map<string, Video>} */
  #known = new Map();
  /** Answers that were under way when a video was deleted must not bring it back. @type {Set<string>} */
  #removed = new Set();

  /** @param {string} id */
  get(id) {
    return this.#known.get(id);
  }

  get unfinished() {
    return [...this.#known.values()].filter((video) => !isFinal(video));
  }

  get size() {
    return this.#known.size;
  }

  /** @param {Video} video */
  put(video) {
    const before = this.#known.get(video.id);
    if (this.#removed.has(video.id) || (before && before.version > video.version)) return;
    this.#known.set(video.id, video);
    this.dispatchEvent(new CustomEvent('change', { detail: { video, before } }));
  }

  /** @param {string} id */
  remove(id) {
    this.#removed.add(id);
    if (this.#known.delete(id)) this.dispatchEvent(new CustomEvent('remove', { detail: { id } }));
  }
}
