/** A list of the service as a table: page by page, with what to say while it loads, when it is empty and when it fails. */

import { button, el } from '../dom.js';
import { explain, problemNote } from '../problems.js';
import { strings } from '../strings.js';

/**
 * @template T
 * @typedef {object} ListingOptions
 * @property {string} label
 * @property {[string, string?][]} columns names, and classes of their cells
 * @property {(after: string|null) => Promise<import('../types.js').Page<T>>} fetch
 * @property {(item: T) => (Node|string|null)[]} cells one for each column
 * @property {string} empty
 * @property {string} failed
 */

/** @template T */
export class Listing {
  /** @type {string|null} */
  #cursor = null;
  #generation = 0;

  /** @param {ListingOptions<T>} options */
  constructor(options) {
    this.options = options;
    this.rows = el('tbody', { role: 'rowgroup' });
    this.problem = el('div', { role: 'alert' });
    this.empty = el('p', { class: 'lead', hidden: true }, options.empty);
    this.more = button(strings.app.more, () => void this.#page(), '');
    this.more.hidden = true;
    const heads = options.columns.map(([name, kind]) =>
      el('th', { scope: 'col', role: 'columnheader', class: kind }, name || el('span', { class: 'hidden-text' }, strings.app.actions)),
    );
    // Narrow screens lay the rows out as blocks, which takes a table's own roles away: hence they are said.
    this.table = el(
      'table',
      { class: 'table', role: 'table', 'aria-label': options.label, 'aria-busy': 'true' },
      el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, ...heads)),
      this.rows,
    );
    this.element = el('div', { class: 'listing' }, this.table, this.empty, this.problem, this.more);
  }

  /** Read from the newest. What is there stays until the answer is. */
  async load() {
    this.#cursor = null;
    this.#generation += 1;
    await this.#page();
  }

  /** Show an item anew, or for the first time at the top. @param {string} id @param {T} item */
  put(id, item) {
    const row = this.#row(item, id);
    const before = this.rows.querySelector(`[data-id="${CSS.escape(id)}"]`);
    if (before) before.replaceWith(row);
    else this.rows.prepend(row);
    this.#settle();
  }

  /** @param {string} id */
  remove(id) {
    this.rows.querySelector(`[data-id="${CSS.escape(id)}"]`)?.remove();
    this.#settle();
  }

  async #page() {
    const generation = this.#generation;
    const after = this.#cursor;
    this.more.disabled = true;
    try {
      const page = await this.options.fetch(after);
      if (generation !== this.#generation) return;
      const rows = page.data.map((item) => this.#row(item, /** @type {any} */ (item).id));
      if (after === null) this.rows.replaceChildren(...rows);
      else this.rows.append(...rows);
      this.#cursor = page.last_id ?? null;
      this.more.hidden = !page.has_more;
      this.problem.replaceChildren();
      this.#settle();
    } catch (error) {
      const problem = explain(error);
      if (generation !== this.#generation) return;
      const again = button(strings.app.tryAgain, () => void this.#page());
      this.problem.replaceChildren(problemNote({ ...problem, message: `${this.options.failed} ${problem.message}` }, again));
    } finally {
      this.table.setAttribute('aria-busy', 'false');
      this.more.disabled = false;
    }
  }

  /** @param {T} item @param {string} id */
  #row(item, id) {
    const cells = this.options.cells(item).map((content, at) => {
      const [name, kind] = this.options.columns[at];
      return el('td', { role: 'cell', class: kind, 'data-label': name }, content);
    });
    return el('tr', { role: 'row', 'data-id': id }, ...cells);
  }

  #settle() {
    const isEmpty = !this.rows.hasChildNodes();
    this.empty.hidden = !isEmpty;
    this.table.hidden = isEmpty;
  }
}
