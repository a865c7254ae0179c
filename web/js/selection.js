/** Several videos at once: which are chosen, and the row of what may be done with them. */

import { byId, setText } from './dom.js';
import { strings } from './strings.js';

/** @typedef {import('./types.js').Video} Video */

const words = strings.selection;

export class Selection {
  /** @type {Set<string>} */
  #chosen = new Set();
  #isOn = false;

  /**
   * @param {() => Video[]} shown those that may be chosen
   * @param {(videos: Video[]) => void} remove
   * @param {() => void} changed
   */
  constructor(shown, remove, changed) {
    this.shown = shown;
    this.changed = changed;
    this.start = byId('choose');
    this.start.addEventListener('click', () => (this.#isOn ? this.end() : this.#begin()));
    byId('selection-end').addEventListener('click', () => this.end());
    byId('selection-all').addEventListener('click', () => {
      for (const { id } of this.shown()) this.#chosen.add(id);
      this.#draw();
    });
    byId('selection-remove').addEventListener('click', () => {
      const videos = this.chosen;
      this.end();
      if (videos.length) remove(videos);
    });
    document.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && this.#isOn && !document.querySelector('dialog[open]')) this.end();
    });
  }

  get chosen() {
    return this.shown().filter(({ id }) => this.#chosen.has(id));
  }

  /** @param {string} id */
  has(id) {
    return this.#chosen.has(id);
  }

  /** @param {string} id @param {boolean} chosen */
  set(id, chosen) {
    if (chosen) this.#chosen.add(id);
    else this.#chosen.delete(id);
    this.#isOn = true;
    this.#draw();
  }

  /** The videos that are shown are others. */
  refresh() {
    this.start.hidden = this.shown().length === 0;
    if (this.#isOn) this.#draw();
  }

  end() {
    const hadFocus = byId('selection').contains(document.activeElement);
    this.#isOn = false;
    this.#chosen.clear();
    this.#draw();
    if (hadFocus && !this.start.hidden) this.start.focus();
  }

  #begin() {
    this.#isOn = true;
    this.#draw();
  }

  #draw() {
    const { length } = this.chosen;
    byId('selection').hidden = !this.#isOn;
    byId('grid').classList.toggle('choosing', this.#isOn);
    this.start.setAttribute('aria-pressed', String(this.#isOn));
    setText(byId('selection-count'), words.count(length));
    /** @type {HTMLButtonElement} */ (byId('selection-remove')).disabled = length === 0;
    this.changed();
  }
}
