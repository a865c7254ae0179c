/** The door: signing up and signing in. */

import { byId, setText } from './dom.js';
import { IdentityError } from './session.js';
import { strings } from './strings.js';

const words = strings.signIn;

export class SignIn {
  #signingUp = false;

  /** @param {import('./session.js').Session} session @param {() => void} entered */
  constructor(session, entered) {
    this.session = session;
    this.entered = entered;
    this.form = /** @type {HTMLFormElement} */ (byId('sign-in-form'));
    this.email = /** @type {HTMLInputElement} */ (byId('email'));
    this.password = /** @type {HTMLInputElement} */ (byId('password'));
    this.button = /** @type {HTMLButtonElement} */ (byId('sign-in-button'));
    this.notice = byId('sign-in-notice');
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#enter();
    });
    byId('sign-in-switch').addEventListener('click', () => {
      this.#signingUp = !this.#signingUp;
      setText(this.notice, '');
      this.#label();
      this.email.focus();
    });
  }

  /** @param {string} notice why one is here again, or empty */
  show(notice) {
    this.#signingUp = !notice;
    this.#label();
    setText(this.notice, notice);
    this.password.value = '';
    this.email.focus();
  }

  #label() {
    const up = this.#signingUp;
    setText(byId('sign-in-title'), up ? words.signUpTitle : words.signInTitle);
    setText(this.button, up ? words.signUp : words.signIn);
    setText(byId('sign-in-switch'), up ? words.toSignIn : words.toSignUp);
    byId('password-help').hidden = !up;
    this.password.autocomplete = up ? 'new-password' : 'current-password';
  }

  async #enter() {
    this.button.disabled = true;
    setText(this.notice, '');
    try {
      const [email, password] = [this.email.value.trim(), this.password.value];
      await (this.#signingUp ? this.session.signUp(email, password) : this.session.signIn(email, password));
      this.password.value = '';
      this.entered();
    } catch (error) {
      if (!(error instanceof IdentityError)) throw error;
      setText(this.notice, error.code === 'OFFLINE' ? words.offline : (words.errors[error.code] ?? words.unknown(error.code)));
      (error.code.includes('PASSWORD') ? this.password : this.email).focus();
    } finally {
      this.button.disabled = false;
    }
  }
}
