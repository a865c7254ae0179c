/** Every credit that came or went, newest first. */

import { byId, el } from './dom.js';
import { change, dateTime, iso, number } from './format.js';
import { explain, problemNote } from './problems.js';
import { toVideo } from './router.js';
import { strings } from './strings.js';

/** @typedef {import('./types.js').Transaction} Transaction */

const PAGE = 50;
const words = strings.account;

export class Ledger {
  /** @type {string|null} */
  #cursor = null;

  /** @param {import('./api.js').Api} api */
  constructor(api) {
    this.api = api;
    this.rows = byId('ledger-rows');
    this.problem = byId('ledger-problem');
    this.more = /** @type {HTMLButtonElement} */ (byId('ledger-more'));
    this.more.addEventListener('click', () => this.#page());
  }

  /** Read from the newest entry. */
  load() {
    this.#cursor = null;
    return this.#page();
  }

  async #page() {
    const first = this.#cursor === null;
    this.more.disabled = true;
    try {
      const page = await this.api.transactions({ limit: PAGE, ...(this.#cursor && { after: this.#cursor }) });
      const rows = page.data.map(row);
      if (first) this.rows.replaceChildren(...rows);
      else this.rows.append(...rows);
      this.#cursor = page.last_id;
      this.more.hidden = !page.has_more;
      byId('ledger-empty').hidden = this.rows.hasChildNodes();
      this.problem.replaceChildren();
    } catch (error) {
      const problem = explain(error);
      const again = el('button', { type: 'button', class: 'button button-small', on: { click: () => this.#page() } }, strings.app.tryAgain);
      this.problem.replaceChildren(problemNote({ ...problem, message: `${words.failed} ${problem.message}` }, again));
    } finally {
      this.more.disabled = false;
    }
  }
}

/** @param {Transaction} entry */
const row = (entry) =>
  el(
    'tr',
    {},
    el(
      'td',
      { class: 'ledger-what' },
      el('span', { class: 'ledger-type' }, words.types[entry.type] ?? entry.type),
      entry.video ? el('a', { href: toVideo(entry.video), class: 'ledger-note' }, entry.description) : el('span', { class: 'ledger-note' }, entry.description),
    ),
    el('td', { class: 'ledger-date' }, el('time', { datetime: iso(entry.created_at) }, dateTime(entry.created_at))),
    el('td', { class: entry.amount > 0 ? 'figure gain' : 'figure' }, change(entry.amount)),
    el('td', { class: 'figure' }, number(entry.balance_after)),
  );
