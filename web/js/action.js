/**
 * Where links in Identity Platform's mail lead: /?mode=...&oobCode=... Opening one changes nothing, since mail scanners
 * open links too; pressing the button does.
 */

import { byId, el, setText } from './dom.js';
import { applyCode, lookAtCode, resetPassword, showPasswordPolicy } from './identity_calls.js';
import { explainIdentity, identityStrings } from './identity_strings.js';
import { strings } from './strings.js';

const words = identityStrings.action;

export class Action {
  /** @param {import('./session.js').Session} session */
  constructor(session) {
    this.session = session;
    const asked = new URLSearchParams(location.search);
    this.mode = asked.get('mode') ?? '';
    this.code = asked.get('oobCode') ?? '';
    this.tenant = asked.get('tenantId') ?? '';
    this.title = el('h2', { id: 'action-title', tabindex: '-1' }, words.titles[this.mode] ?? strings.app.name);
    this.text = el('p', { role: 'status' }, words.loading);
    this.notice = el('p', { class: 'door-notice', role: 'alert' });
    this.password = el('input', { id: 'new-password', class: 'input', type: 'password', autocomplete: 'new-password', required: true, 'aria-describedby': 'new-password-help' });
    this.button = el('button', { class: 'button button-primary', type: 'submit', disabled: true }, words.buttons[this.mode] ?? '');
    this.form = el('form', { class: 'door-form', on: { submit: (/** @type {Event} */ event) => void this.#apply(event) } });
  }

  /** Say what the link is for, and wait for the button. */
  async show() {
    byId('sign-in-form').replaceWith(this.form);
    this.form.append(this.title, this.text);
    this.title.focus();
    if (!words.titles[this.mode]) {
      this.#finish(words.unsupported);
      return;
    }
    try {
      const { email, newEmail } = await lookAtCode(this.session, this.code, this.tenant);
      setText(this.text, words.texts[this.mode]?.(email, newEmail ?? '') ?? '');
    } catch (error) {
      this.#finish(explainIdentity(error));
      return;
    }
    if (this.mode === 'resetPassword') this.#askForPassword();
    this.form.append(this.notice, this.button);
    this.button.disabled = false;
  }

  #askForPassword() {
    const help = el('p', { id: 'new-password-help', class: 'help' });
    this.form.append(el('div', { class: 'field' }, el('label', { for: 'new-password' }, words.newPassword), this.password, help));
    void showPasswordPolicy(this.session, this.password, help);
  }

  /** @param {Event} event */
  async #apply(event) {
    event.preventDefault();
    this.button.disabled = true;
    setText(this.notice, '');
    try {
      if (this.mode === 'resetPassword') await resetPassword(this.session, this.code, this.password.value, this.tenant);
      else await applyCode(this.session, this.code, this.tenant);
      this.#finish(words.done[this.mode] ?? '');
    } catch (error) {
      setText(this.notice, explainIdentity(error));
      this.button.disabled = false;
    }
  }

  /** @param {string} outcome */
  #finish(outcome) {
    // The code is spent: reloading the page doesn't ask for it again.
    history.replaceState(null, '', location.pathname);
    setText(this.text, outcome);
    this.form.replaceChildren(this.title, this.text, el('a', { class: 'button', href: './' }, words.toApp));
  }
}
