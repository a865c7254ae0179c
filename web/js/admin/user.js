/** One user in front of the list: role, plan, whether he may come in, and credits. */

import { ApiError } from '../client.js';
import { button, el, setText } from '../dom.js';
import { number } from '../format.js';
import { explain } from '../problems.js';
import { Form } from '../components/form.js';
import { openSheet } from '../components/sheet.js';
import { strings } from '../strings.js';
import { adminStrings } from './strings.js';
import { toast, toastProblem } from '../toast.js';

/** @typedef {import('../types.js').User} User */

const words = adminStrings.users;
const credits = (/** @type {number} */ amount) => strings.compose.credits(number(amount), amount);

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
  const isOperator = user.role === 'operator';
  const { user: asUser, admin: asAdmin } = words.roles;
  const edit = new Form(
    name,
    [
      ...(isOperator ? [] : [roleField([['user', asUser], ['admin', asAdmin]], user.role)]),
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
    user.email && el('p', { class: 'quiet' }, user.email_verified ? words.verified : `${words.unverified}. ${words.unverifiedHelp}`),
    el(
      'div',
      { class: 'panel stack' },
      enabling(api, user, isSelf || isOperator, learn),
      edit.element,
      (isSelf || isOperator) && el('p', { class: 'help' }, isOperator ? words.operator : words.self),
    ),
    el(
      'div',
      { class: 'panel stack' },
      el('h3', {}, words.grant),
      isSelf ? el('p', { class: 'help' }, words.selfGrant) : granting(api, user, name, learn),
    ),
    el('div', { class: 'buttons' }, button(words.videos, () => showVideosOf(user))),
  );
}

/** @param {[string, string][]} options @param {string} value @returns {import('../components/form.js').Field} */
const roleField = (options, value) => ({ name: 'role', label: words.role, type: 'select', options, value });

/** @param {import('../api.js').Api} api @param {User} user @param {boolean} isFixed @param {(user: User) => void} learn */
function enabling(api, user, isFixed, learn) {
  const enabled = el('input', { type: 'checkbox', role: 'switch', class: 'switch', checked: !user.disabled, disabled: isFixed || user.closed_at !== null });
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
  const left = el('p', { class: 'quiet', role: 'status' });
  const showBudget = async () => {
    try {
      setText(left, words.budget(credits((await api.budget()).left)));
    } catch (error) {
      explain(error);
      setText(left, '');
    }
  };
  void showBudget();
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
      toast(words.given(credits(amount), name), 'done');
      void showBudget();
      learn(await api.getUser(user.id));
    },
  );
  return el('div', { class: 'stack' }, left, form.element);
}
