/** One user in front of the list: role, plan, whether he may come in, and credits. */

import { ApiError } from '../client.js';
import { button, el } from '../dom.js';
import { number } from '../format.js';
import { Form } from '../rooms/form.js';
import { openSheet } from '../rooms/sheet.js';
import { strings } from '../strings.js';
import { toast, toastProblem } from '../toast.js';

/** @typedef {import('../types.js').User} User */

const words = strings.admin.users;

/**
 * @param {import('./admin.js').AdminContext} context
 * @param {User} user
 * @param {(user: User) => void} changed
 */
export function openUser({ api, balance, showVideosOf }, user, changed) {
  const isSelf = user.id === balance.account?.id;
  const name = user.email ?? user.id;
  const learn = (/** @type {User} */ fresh) => {
    changed(fresh);
    if (isSelf) void balance.refresh();
  };
  const edit = new Form(
    name,
    [
      { name: 'role', label: words.role, type: 'select', options: Object.entries(words.roles), value: user.role },
      { name: 'plan', label: words.plan, value: user.plan },
    ],
    strings.app.save,
    async (values) => {
      learn(await api.updateUser(user.id, values));
      toast(`${strings.app.saved} ${words.takesAMinute}`, 'done');
    },
  );
  openSheet(
    name,
    el('div', { class: 'panel stack' }, enabling(api, user, isSelf, learn), edit.element, isSelf && el('p', { class: 'help' }, words.self)),
    el('div', { class: 'panel stack' }, el('h3', {}, words.grant), granting(api, user, name, learn)),
    el('div', { class: 'buttons' }, button(words.videos, () => showVideosOf(user))),
  );
}

/** @param {import('../api.js').Api} api @param {User} user @param {boolean} isSelf @param {(user: User) => void} learn */
function enabling(api, user, isSelf, learn) {
  const enabled = el('input', { type: 'checkbox', role: 'switch', class: 'switch', checked: !user.disabled, disabled: isSelf || user.closed_at !== null });
  enabled.addEventListener('change', async () => {
    try {
      learn(await api.updateUser(user.id, { disabled: !enabled.checked }));
      toast(`${strings.app.saved} ${words.takesAMinute}`, 'done');
    } catch (error) {
      enabled.checked = !enabled.checked;
      toastProblem(error);
    }
  });
  return el('label', { class: 'check-field' }, enabled, words.enabledLabel);
}

/** @param {import('../api.js').Api} api @param {User} user @param {string} name @param {(user: User) => void} learn */
function granting(api, user, name, learn) {
  // One key for one wish: when its answer is lost, the same wish again is not a second grant.
  let pending = { wish: '', key: '' };
  const form = new Form(
    words.grant,
    [
      { name: 'amount', label: words.amount, type: 'number' },
      { name: 'description', label: words.description, placeholder: words.descriptionPlaceholder, maxlength: 200 },
    ],
    words.give,
    async ({ amount, description = '' }) => {
      const wish = JSON.stringify([amount, description]);
      if (pending.wish !== wish) pending = { wish, key: crypto.randomUUID() };
      try {
        await api.grant(user.id, { amount, description }, pending.key);
      } catch (error) {
        if (error instanceof ApiError && !error.isOutage) pending.wish = '';
        throw error;
      }
      pending.wish = '';
      form.reset();
      toast(words.given(strings.compose.credits(number(amount), amount), name), 'done');
      learn(await api.getUser(user.id));
    },
  );
  return form.element;
}
