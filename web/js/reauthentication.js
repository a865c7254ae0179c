/** Asking to sign in again, before something that needs a recent sign-in: with the password, or on Google's page. */

import { button, el, setText } from './dom.js';
import { toGoogle } from './google.js';
import { explainIdentity } from './identity_strings.js';
import { openSheet } from './components/sheet.js';
import { strings } from './strings.js';

const words = strings.reauthentication;

/**
 * Whether the user of this session has signed in again; false when the dialog was closed. Google's page leads back to
 * where this one is, and what was wanted has to be pressed again.
 * @param {import('./session.js').Session} session
 * @returns {Promise<boolean>}
 */
export function signedInAgain(session) {
  if (session.withGoogle) return againWithGoogle(session);
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
      setText(fault, explainIdentity(error));
      password.focus();
    } finally {
      confirm.disabled = false;
    }
  });
  return new Promise((resolve) => dialog.addEventListener('close', () => resolve(done), { once: true }));
}

/** @param {import('./session.js').Session} session @returns {Promise<boolean>} */
function againWithGoogle({ config, email }) {
  const leave = button(strings.signIn.google, () => void toGoogle(config, location.hash), 'button-primary');
  const lead = el('p', { class: 'lead' }, words.leadGoogle(email));
  const dialog = openSheet(words.titleGoogle, el('div', { class: 'form' }, lead, el('div', { class: 'form-foot' }, leave)));
  leave.focus();
  return new Promise((resolve) => dialog.addEventListener('close', () => resolve(false), { once: true }));
}
