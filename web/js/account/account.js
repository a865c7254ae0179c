/** One's account: what there is of it, the ledger, keys and webhooks for programs, and one's rights to the data. */

import { button } from '../dom.js';
import { Sections } from '../components/sections.js';
import { strings } from '../strings.js';

/**
 * @typedef {object} AccountContext
 * @property {import('../api.js').Api} api
 * @property {import('../balance.js').Balance} balance
 * @property {import('../session.js').Session} session
 * @property {(notice: string) => void} signOut
 */

export class Account {
  /** @param {AccountContext} context */
  constructor(context) {
    const { title, sections } = strings.account;
    const makers = {
      overview: async () => new (await import('./overview.js')).Overview(context),
      ledger: async () => new (await import('./ledger.js')).Ledger(context),
      keys: async () => new (await import('./keys.js')).Keys(context),
      webhooks: async () => new (await import('./webhooks.js')).Webhooks(context),
      data: async () => new (await import('./data.js')).Data(context),
    };
    this.sections = new Sections('account', title, sections, makers, button(strings.app.signOut, () => context.signOut(''), ''));
  }

  /** @param {string} section */
  show(section) {
    return this.sections.show(section);
  }

  refresh() {
    this.sections.refresh();
  }
}
