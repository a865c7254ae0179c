/** What the video would cost and take: from the list of models at once, from the service a moment later. */

import { ApiError } from './client.js';
import { byId, setText } from './dom.js';
import { duration, number } from './format.js';
import { listPrice } from './models.js';
import { strings } from './strings.js';

/**
 * @typedef {import('./types.js').CreateVideo} CreateVideo
 * @typedef {import('./types.js').Estimate} Estimate
 *
 * @typedef {object} Wish what is to be quoted
 * @property {import('./types.js').Model} model
 * @property {import('./models.js').Settings} settings
 * @property {import('./models.js').Material} material
 * @property {CreateVideo|null} request null while it cannot be sent, so that nobody is asked about it
 */

const PAUSE_MS = 250;
const words = strings.compose;

export class Quote {
  /** @type {Wish|null} */
  #wish = null;
  /** @type {Estimate|null} */
  #estimate = null;
  /** The price that is shown. */
  #cost = 0;
  /** The request that the estimate is of. */
  #estimated = '';
  #timer = 0;
  #asked = new AbortController();

  /** @param {import('./api.js').Api} api @param {import('./balance.js').Balance} balance */
  constructor(api, balance) {
    this.api = api;
    this.balance = balance;
  }

  /** @param {Wish} wish */
  show(wish) {
    this.#wish = wish;
    this.#draw();
    this.#plan(PAUSE_MS);
  }

  get cost() {
    return this.#cost;
  }

  /** The balance or the price may be another one. */
  refresh() {
    this.#estimated = '';
    this.#draw();
    this.#plan(0);
  }

  /** @param {number} pause_ms */
  #plan(pause_ms) {
    clearTimeout(this.#timer);
    if (this.#wish?.request) this.#timer = setTimeout(() => void this.#ask(), pause_ms);
  }

  async #ask() {
    const request = this.#wish?.request;
    const wanted = JSON.stringify(request);
    if (!request || wanted === this.#estimated) return;
    this.#asked.abort();
    this.#asked = new AbortController();
    const { signal } = this.#asked;
    try {
      // Without the images: they change neither price nor time, and would be sent at each key.
      this.#estimate = await this.api.estimate(request, signal);
      this.#estimated = wanted;
      this.#draw();
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      // The list price stands; whatever is wrong is said again, with what to do, when the request is sent.
      this.#estimate = null;
    }
  }

  #draw() {
    if (!this.#wish) return;
    const { model, settings, material, request } = this.#wish;
    const known = request && this.#estimated === JSON.stringify(request) ? this.#estimate : null;
    const cost = known?.cost ?? listPrice(model, settings, material);
    this.#cost = cost;
    const balance = known?.balance ?? this.balance.credits;
    const after = known?.balance_after ?? (balance === null ? null : balance - cost);
    setText(byId('quote-cost'), words.credits(number(cost), cost));
    setText(byId('quote-time'), duration(known?.expected_seconds ?? model.expected_seconds));
    setText(byId('quote-after'), after === null ? strings.app.none : number(after));
    setText(byId('quote-refusal'), known?.refusal ? (words.refusals[known.refusal] ?? known.refusal) : '');
    byId('quote').classList.toggle('short', after !== null && after < 0);
  }
}
