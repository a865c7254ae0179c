/** What was sent to one webhook endpoint. */

import { button, el } from '../dom.js';
import { dateTime, iso, number } from '../format.js';
import { Listing } from '../components/listing.js';
import { toVideo } from '../router.js';
import { strings } from '../strings.js';

/** @typedef {import('../types.js').Delivery} Delivery */

const PAGE = 10;
const words = strings.webhooks;

export class Deliveries {
  /** @param {import('../api.js').Api} api @param {string} endpoint */
  constructor(api, endpoint) {
    this.listing = new Listing({
      label: words.deliveries,
      columns: [[words.message, 'wide'], [words.outcome], [words.tries, 'figure'], [words.sent, 'quiet']],
      fetch: (after) => api.deliveries(endpoint, { limit: PAGE, after }),
      cells,
      empty: words.deliveriesEmpty,
      failed: words.deliveriesFailed,
    });
    const refresh = el('div', { class: 'buttons' }, button(words.refresh, () => void this.listing.load()));
    this.element = el('details', { class: 'deliveries' }, el('summary', {}, words.deliveries), el('div', { class: 'stack' }, this.listing.element, refresh));
    this.element.addEventListener('toggle', () => {
      if (this.element.open) void this.listing.load();
    });
  }

  open() {
    if (this.element.open) void this.listing.load();
    this.element.open = true;
  }
}

/** @param {Delivery} delivery */
const cells = ({ event, video, status, tries, last_status, last_error, created_at }) => [
  el(
    'div',
    {},
    el('span', { class: 'cell-title' }, event === 'ping' ? words.ping : event),
    video && el('a', { href: toVideo(video), class: 'cell-note' }, strings.account.openVideo),
  ),
  el(
    'div',
    {},
    el('span', { class: `state state-${status}` }, words.statuses[status]),
    el('span', { class: 'cell-note' }, last_error ?? (last_status ? words.answered(last_status) : '')),
  ),
  number(tries),
  el('time', { datetime: iso(created_at) }, dateTime(created_at)),
];
