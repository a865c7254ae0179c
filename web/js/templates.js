/** Prompts with blanks to fill in: "{name|example}". What is left empty is as in the example. */

import { byId, el } from './dom.js';
import { strings } from './strings.js';

/** @typedef {{text: string}|{blank: string, example: string}} Part */

const BLANK = /\{([^|}]+)\|([^}]+)\}/;
const words = strings.templates;

export class Templates {
  #chosen = 0;
  /** What was written into the blanks, by their names; kept when another template has the same. @type {Map<string, string>} */
  #written = new Map();

  /** @param {(prompt: string) => void} use */
  constructor(use) {
    this.dialog = /** @type {HTMLDialogElement} */ (byId('templates'));
    this.blanks = byId('template-blanks');
    this.text = byId('template-text');
    this.dialog.addEventListener('close', () => {
      if (this.dialog.returnValue === 'use') use(this.#parts().map((part) => this.#filled(part)).join(''));
    });
    this.blanks.addEventListener('input', (event) => {
      const { name, value } = /** @type {HTMLInputElement} */ (event.target);
      this.#written.set(name, value);
      this.#preview();
    });
    // Enter in a blank uses the prompt; the first button of the form, which it would press, closes.
    this.blanks.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter') return;
      event.preventDefault();
      this.dialog.close('use');
    });
    byId('template-list').append(...words.all.map(({ title }, at) => this.#choice(title, at)));
  }

  open() {
    this.#written.clear();
    this.#draw();
    this.dialog.returnValue = '';
    this.dialog.showModal();
  }

  /** @param {string} title @param {number} at */
  #choice(title, at) {
    const choose = () => {
      this.#chosen = at;
      this.#draw();
    };
    return el(
      'label',
      { class: 'segment' },
      el('input', { type: 'radio', name: 'template', checked: at === 0, on: { change: choose } }),
      el('span', {}, title),
    );
  }

  #draw() {
    this.blanks.replaceChildren(
      ...this.#parts().flatMap((part) => {
        if ('text' in part) return [];
        const { blank, example } = part;
        const id = `blank-${blank}`;
        const value = this.#written.get(blank) ?? '';
        return el(
          'div',
          { class: 'field' },
          el('label', { for: id }, blank),
          el('input', { id, name: blank, class: 'input input-small', placeholder: example, value, autocomplete: 'off' }),
        );
      }),
    );
    this.#preview();
  }

  #preview() {
    this.text.replaceChildren(
      ...this.#parts().map((part) => ('text' in part ? part.text : el('mark', {}, this.#filled(part)))),
    );
  }

  /** @returns {Part[]} */
  #parts() {
    const pieces = words.all[this.#chosen].text.split(BLANK);
    // Split by a pattern with two groups: text, blank, example, text, blank, example, text.
    return pieces.flatMap((piece, at) => {
      if (at % 3 === 0) return piece ? { text: piece } : [];
      return at % 3 === 1 ? { blank: piece, example: pieces[at + 1] } : [];
    });
  }

  /** @param {Part} part */
  #filled(part) {
    if ('text' in part) return part.text;
    return this.#written.get(part.blank)?.trim() || part.example;
  }
}
