/** A room with several sections: its heading, the way from one to the other, and the one that is open. */

import { byId, el } from '../dom.js';
import { problemNote } from '../problems.js';
import { strings } from '../strings.js';

/**
 * @typedef {object} Section
 * @property {HTMLElement} element
 * @property {() => void} [load] called each time that it is opened
 * @property {() => void} [refresh] called when the account has changed
 */

export class Sections {
  /** @type {Map<string, Promise<Section>>} */
  #made = new Map();
  /** @type {Section|null} */
  #open = null;
  #wanted = '';

  /**
   * @param {'account'|'admin'} name of the room
   * @param {string} title
   * @param {Record<string, string>} titles of the sections; the first is open at first
   * @param {Record<string, () => Promise<Section>>} makers
   * @param {...Node} beside what stands beside the heading
   */
  constructor(name, title, titles, makers, ...beside) {
    this.titles = titles;
    this.makers = makers;
    this.links = new Map(
      Object.entries(titles).map(([section, text]) => [section, el('a', { href: `#/${name}/${section}` }, text)]),
    );
    this.heading = el('h2', { class: 'hidden-text' });
    this.body = el('div', { class: 'room-body' });
    byId(name).replaceChildren(
      el('header', { class: 'room-head' }, el('h1', { id: `${name}-title`, tabindex: -1 }, title), ...beside),
      el('nav', { class: 'room-nav', 'aria-label': title }, ...this.links.values()),
      this.body,
    );
  }

  /** @param {string} wanted */
  async show(wanted) {
    const section = wanted in this.titles ? wanted : Object.keys(this.titles)[0];
    this.#wanted = section;
    for (const [name, link] of this.links) {
      if (name === section) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
    this.links.get(section)?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    this.heading.textContent = this.titles[section];
    if (!this.#made.has(section)) this.#made.set(section, this.makers[section]());
    try {
      this.#open = (await this.#made.get(section)) ?? null;
    } catch (error) {
      // The module did not load.
      this.#made.delete(section);
      if (!(error instanceof TypeError)) throw error;
      const { message, action } = strings.problems.offline;
      this.body.replaceChildren(problemNote({ message, action, requestId: '' }));
      return;
    }
    if (this.#wanted !== section || !this.#open) return;
    this.body.replaceChildren(this.heading, this.#open.element);
    this.#open.load?.();
  }

  refresh() {
    this.#open?.refresh?.();
  }
}
