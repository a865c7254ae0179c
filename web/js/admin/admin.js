/** What administrators see of their tenant. */

import { problemNote } from '../problems.js';
import { Sections } from '../components/sections.js';
import { strings } from '../strings.js';
import { adminStrings } from './strings.js';

/**
 * @typedef {object} AdminContext
 * @property {import('../api.js').Api} api
 * @property {import('../balance.js').Balance} balance
 * @property {(user: import('../types.js').User) => void} showVideosOf
 * @property {() => import('../types.js').User|null} videosOf whose videos are wanted, if one user's
 */

export class Admin {
  /** @type {import('../types.js').User|null} */
  #wanted = null;

  /** @param {{api: import('../api.js').Api, balance: import('../balance.js').Balance}} context */
  constructor({ api, balance }) {
    this.balance = balance;
    /** @type {AdminContext} */
    const context = {
      api,
      balance,
      showVideosOf: (user) => {
        this.#wanted = user;
        location.hash = '#/admin/videos';
      },
      videosOf: () => this.#wanted,
    };
    const { title, sections } = adminStrings;
    const makers = {
      health: async () => new (await import('./health.js')).Health(context),
      users: async () => new (await import('./users.js')).Users(context),
      videos: async () => new (await import('./tenant_videos.js')).TenantVideos(context),
      projects: async () => new (await import('./projects.js')).Projects(context),
      settings: async () => new (await import('./settings.js')).Settings(context),
    };
    this.sections = new Sections('admin', title, sections, makers);
  }

  /** @param {string} section */
  async show(section) {
    if (section !== 'videos') this.#wanted = null;
    await this.balance.ready;
    if ((this.balance.account?.role ?? 'user') === 'user') {
      this.sections.body.replaceChildren(problemNote({ message: adminStrings.forbidden, action: '', requestId: '' }));
      return;
    }
    await this.sections.show(section);
  }

  refresh() {
    this.sections.refresh();
  }
}
