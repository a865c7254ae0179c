/** Every credit that came or went, newest first, with the balance after it. */

import { el } from '../dom.js';
import { change, dateTime, iso, number } from '../format.js';
import { Listing } from '../components/listing.js';
import { toVideo } from '../router.js';
import { strings } from '../strings.js';

/** @typedef {import('../types.js').Transaction} Transaction */

const PAGE = 50;
const words = strings.account;

export class Ledger {
  /** @param {import('./account.js').AccountContext} context */
  constructor({ api }) {
    this.listing = new Listing({
      label: words.ledger,
      columns: [[words.what, 'wide'], [words.date, 'quiet'], [words.amount, 'figure'], [words.after, 'figure']],
      fetch: (after) => api.transactions({ limit: PAGE, after }),
      cells,
      empty: words.empty,
      failed: words.failed,
    });
    this.element = el('div', { class: 'stack' }, el('p', { class: 'lead' }, words.ledgerLead), this.listing.element);
  }

  load() {
    void this.listing.load();
  }

  refresh() {
    if (this.element.isConnected) void this.listing.load();
  }
}

/** @param {Transaction} entry */
const cells = ({ type, video, description, created_at, amount, balance_after }) => [
  el(
    'div',
    {},
    el('span', { class: 'cell-title' }, words.types[type] ?? type),
    video ? el('a', { href: toVideo(video), class: 'cell-note' }, description) : el('span', { class: 'cell-note' }, description),
  ),
  el('time', { datetime: iso(created_at) }, dateTime(created_at)),
  el('span', { class: amount > 0 ? 'gain' : null }, change(amount)),
  number(balance_after),
];
