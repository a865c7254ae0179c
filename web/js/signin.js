/** Signing up and signing in, with a password or with Google, and getting a link to reset a password. */

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
    this.forgot = /** @type {HTMLButtonElement} */ (byId('forgot-button'));
    this.google = /** @type {HTMLButtonElement} */ (byId('google-button'));
    this.notice = byId('sign-in-notice');
    this.sent = byId('sign-in-sent');
    // Fetched before it is needed: by then there may be no network.
    this.calls = import('./identity_calls.js');
    this.strings = import('./identity_strings.js');
    this.google.hidden = !session.config.google_client_id;
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#enter();
    });
    this.forgot.addEventListener('click', () => void this.#sendReset());
    this.google.addEventListener('click', () => void this.#withGoogle());
    byId('sign-in-switch').addEventListener('click', () => {
      this.#signingUp = !this.#signingUp;
      this.#say('', '');
      this.#label();
      this.email.focus();
    });
  }

  /** @param {string} notice why you're here again, or empty */
  show(notice) {
    this.#signingUp = !notice;
    this.#label();
    this.#say(notice, '');
    this.password.value = '';
    this.email.focus();
  }

  #label() {
    const up = this.#signingUp;
    setText(byId('sign-in-title'), up ? words.signUpTitle : words.signInTitle);
    setText(this.button, up ? words.signUp : words.signIn);
    setText(byId('sign-in-switch'), up ? words.toSignIn : words.toSignUp);
    this.forgot.hidden = up;
    this.password.autocomplete = up ? 'new-password' : 'current-password';
    void this.#showPolicy();
  }

  /** A new password has to keep the installation's policy; one that exists is as it is. */
  async #showPolicy() {
    const help = byId('password-help');
    if (this.#signingUp) await (await this.calls).showPasswordPolicy(this.session, this.password, help);
    // Meanwhile it may have become a password that exists.
    if (this.#signingUp) return;
    this.password.removeAttribute('minlength');
    help.hidden = true;
  }

  #enter() {
    const [email, password] = [this.email.value.trim(), this.password.value];
    return this.#attempt(async () => {
      await (this.#signingUp ? this.#signUp(email, password) : this.session.signIn(email, password));
      this.password.value = '';
      this.entered();
    });
  }

  /** The verification email follows at once. @param {string} email @param {string} password */
  async #signUp(email, password) {
    await this.session.signUp(email, password);
    try {
      await (await this.calls).sendVerification(this.session);
    } catch (error) {
      // The studio offers to send it again.
      if (!(error instanceof IdentityError)) throw error;
    }
  }

  #sendReset() {
    if (!this.email.reportValidity()) return;
    const email = this.email.value.trim();
    return this.#attempt(async () => {
      await (await this.calls).sendPasswordReset(this.session, email);
      this.#say('', (await this.strings).identityStrings.resetSent(email));
    });
  }

  async #withGoogle() {
    const { toGoogle } = await import('./google.js');
    await toGoogle(this.session.config);
  }

  /** @param {() => Promise<void>} attempt */
  async #attempt(attempt) {
    this.button.disabled = this.forgot.disabled = true;
    this.#say('', '');
    try {
      await attempt();
    } catch (error) {
      const { explainIdentity } = await this.strings;
      this.#say(explainIdentity(error), '');
      (error instanceof IdentityError && error.code.includes('PASSWORD') ? this.password : this.email).focus();
    } finally {
      this.button.disabled = this.forgot.disabled = false;
    }
  }

  /** @param {string} problem @param {string} news */
  #say(problem, news) {
    setText(this.notice, problem);
    setText(this.sent, news);
  }
}
