/** The account as it is now: its balance everywhere on the page. Event: "change". */

import { ApiError } from './client.js';
import { byId, setText } from './dom.js';
import { number } from './format.js';
import { strings } from './strings.js';

const words = strings.account;

export class Balance extends EventTarget {
  /** @type {import('./types.js').AccountView|null} */
  #view = null;
  /** @type {Promise<void>|null} */
  #asking = null;
  #again = false;

  /** @param {import('./api.js').Api} api */
  constructor(api) {
    super();
    this.api = api;
  }

  /** Null until it is known. */
  get account() {
    return this.#view;
  }

  /** Credits; null until they are known. */
  get credits() {
    return this.#view?.balance ?? null;
  }

  /** Settles once the account is known, or could not be read. */
  get ready() {
    return this.#view ? Promise.resolve() : this.refresh();
  }

  /** Ask anew; whoever asks meanwhile is served by one more request, however many they are. */
  refresh() {
    if (this.#asking) {
      this.#again = true;
      return this.#asking;
    }
    this.#asking = this.#ask().finally(() => {
      this.#asking = null;
      if (!this.#again) return;
      this.#again = false;
      void this.refresh();
    });
    return this.#asking;
  }

  /** @param {import('./types.js').AccountView} view */
  learn(view) {
    const before = this.#view;
    this.#view = view;
    const balance = number(view.balance);
    setText(byId('balance'), balance);
    byId('balance-link').setAttribute('aria-label', words.balanceLabel(balance));
    byId('to-admin').hidden = view.role === 'user';
    if (JSON.stringify(before) !== JSON.stringify(view)) this.dispatchEvent(new Event('change'));
  }

  async #ask() {
    try {
      this.learn(await this.api.account());
    } catch (error) {
      // The last balance stays in sight; the next change asks again.
      if (!(error instanceof ApiError)) throw error;
    }
  }
}
