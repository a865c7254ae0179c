/** Asking for the password again, before something that needs a recent sign-in. */

import { el, setText } from './dom.js';
import { openSheet } from './rooms/sheet.js';
import { IdentityError } from './session.js';
import { strings } from './strings.js';

const words = strings.reauthentication;

/**
 * Whether the user of this session has signed in again; false when the dialog was closed.
 * @param {import('./session.js').Session} session
 * @returns {Promise<boolean>}
 */
export function signedInAgain(session) {
  const password = el('input', { id: 'again-password', class: 'input', type: 'password', autocomplete: 'current-password', required: true });
  const fault = el('p', { id: 'again-fault', class: 'fault', role: 'alert' });
  const confirm = el('button', { type: 'submit', class: 'button button-primary' }, words.confirm);
  password.setAttribute('aria-describedby', fault.id);
  const form = el(
    'form',
    { class: 'form', 'aria-label': words.title, novalidate: true },
    el('p', { class: 'lead' }, words.lead(session.email)),
    el('div', { class: 'field' }, el('label', { for: password.id }, strings.signIn.password), password, fault),
    el('div', { class: 'form-foot' }, confirm),
  );
  const dialog = openSheet(words.title, form);
  password.focus();
  let done = false;
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (confirm.disabled) return;
    confirm.disabled = true;
    setText(fault, '');
    try {
      await session.signIn(session.email, password.value);
      done = true;
      dialog.close();
    } catch (error) {
      if (!(error instanceof IdentityError)) throw error;
      const { errors, offline, unknown } = strings.signIn;
      setText(fault, error.code === 'OFFLINE' ? offline : (errors[error.code] ?? unknown(error.code)));
      password.focus();
    } finally {
      confirm.disabled = false;
    }
  });
  return new Promise((resolve) => dialog.addEventListener('close', () => resolve(done), { once: true }));
}
