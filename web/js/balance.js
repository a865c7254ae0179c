/** The account: its balance everywhere on the page, and its facts. Event: "change". */

import { ApiError } from './api.js';
import { byId, el, setText } from './dom.js';
import { date, number } from './format.js';
import { strings } from './strings.js';

const words = strings.account;

export class Account extends EventTarget {
  /** @type {import('./types.js').AccountView|null} */
  #view = null;

  /** @param {import('./api.js').Api} api */
  constructor(api) {
    super();
    this.api = api;
  }

  /** Null until it is known. */
  get balance() {
    return this.#view?.balance ?? null;
  }

  async refresh() {
    let view;
    try {
      view = await this.api.account();
    } catch (error) {
      // The last balance stays in sight; the next change asks again.
      if (error instanceof ApiError) return;
      throw error;
    }
    const before = this.balance;
    this.#view = view;
    this.#show(view);
    if (before !== view.balance) this.dispatchEvent(new Event('change'));
  }

  /** @param {import('./types.js').AccountView} view */
  #show(view) {
    const balance = number(view.balance);
    setText(byId('balance'), balance);
    byId('balance-link').setAttribute('aria-label', words.balanceLabel(balance));
    setText(byId('account-balance'), balance);
    byId('account-facts').replaceChildren(
      ...[
        [words.email, view.email ?? '–'],
        [words.plan, view.plan],
        [words.active, words.activeOf(view.active_jobs.length, view.active_jobs_limit)],
        [words.since, date(view.created_at)],
      ].map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))),
    );
  }
}
