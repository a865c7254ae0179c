/** The tenant's users: finding one, and what may be changed of him. */

import { button, el } from '../dom.js';
import { date, number } from '../format.js';
import { Listing } from '../components/listing.js';
import { strings } from '../strings.js';
import { adminStrings } from './strings.js';
import { openUser } from './user.js';

/** @typedef {import('../types.js').User} User */

const PAGE = 25;
const words = adminStrings.users;

export class Users {
  /** @param {import('./admin.js').AdminContext} context */
  constructor(context) {
    this.context = context;
    this.email = el('input', { class: 'input input-small', type: 'search', 'aria-label': words.find, placeholder: words.find, autocomplete: 'off' });
    this.listing = new Listing({
      label: adminStrings.sections.users,
      columns: [[words.email, 'wide'], [words.role], [words.plan], [words.balance, 'figure'], [words.since, 'quiet'], ['', 'actions']],
      fetch: (after) => context.api.users({ limit: PAGE, after, email: this.email.value.trim() || null }),
      cells: (user) => this.#cells(user),
      empty: words.empty,
      failed: words.failed,
    });
    this.element = el(
      'div',
      { class: 'stack' },
      el(
        'form',
        {
          class: 'find',
          role: 'search',
          on: {
            submit: (/** @type {Event} */ event) => {
              event.preventDefault();
              this.load();
            },
          },
        },
        this.email,
        el('button', { type: 'submit', class: 'button button-small' }, words.search),
      ),
      this.listing.element,
    );
    // Emptied by its own button.
    this.email.addEventListener('search', () => this.load());
  }

  load() {
    void this.listing.load();
  }

  /** @param {User} user */
  #cells(user) {
    const { email, email_verified, id, display_name, role, plan, balance, created_at, disabled, closed_at } = user;
    const state = closed_at ? words.closed : disabled ? words.disabled : '';
    const open = button(words.open, () => openUser(this.context, user, (changed) => this.listing.put(changed.id, changed)));
    open.setAttribute('aria-label', `${words.open}: ${email ?? id}`);
    return [
      el(
        'div',
        {},
        el('span', { class: 'cell-title' }, email ?? id),
        email && !email_verified && el('span', { class: 'state', title: words.unverifiedHelp }, words.unverified),
        display_name && el('span', { class: 'cell-note' }, display_name),
        state && el('span', { class: 'state state-failed' }, state),
      ),
      words.roles[role],
      plan,
      number(balance),
      date(created_at),
      open,
    ];
  }
}
