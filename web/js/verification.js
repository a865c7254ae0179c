/** Tells a new user to verify the email address, sends the email again, and notices once it is done. */

import { button, byId, el, setText } from './dom.js';
import { sendVerification } from './identity_calls.js';
import { explainIdentity, identityStrings } from './identity_strings.js';
import { IdentityError } from './session.js';
import { toast } from './toast.js';

const words = identityStrings.verify;
/** People come back to the page more often than they open links. */
const CHECK_EVERY_MS = 3_000;

export class Verification {
  #checkedAt_ms = 0;

  /** @param {import('./session.js').Session} session @param {import('./balance.js').Balance} balance */
  constructor(session, balance) {
    this.session = session;
    this.balance = balance;
    this.element = byId('verify');
    this.news = el('p', { role: 'status' });
    const { mailbox_url } = session.config;
    this.element.replaceChildren(
      el('div', {}, el('h2', {}, words.title), el('p', {}, words.text(session.email)), this.news),
      el(
        'div',
        { class: 'buttons' },
        button(words.done, () => void this.#press()),
        button(words.send, () => void this.#send(), 'button-small button-link'),
        mailbox_url && el('a', { class: 'button button-small button-link', href: mailbox_url, target: '_blank', rel: 'noopener' }, words.mailbox),
      ),
    );
    this.element.hidden = false;
    for (const name of ['focus', 'online']) addEventListener(name, () => void this.#check());
    document.addEventListener('visibilitychange', () => void this.#check());
  }

  async #press() {
    setText(this.news, '');
    try {
      if (!(await this.#verified())) setText(this.news, words.notYet);
    } catch (error) {
      setText(this.news, explainIdentity(error));
    }
  }

  async #send() {
    setText(this.news, '');
    try {
      await sendVerification(this.session);
      setText(this.news, words.sent(this.session.email));
    } catch (error) {
      setText(this.news, explainIdentity(error));
    }
  }

  async #check() {
    if (this.element.hidden || document.hidden || Date.now() - this.#checkedAt_ms < CHECK_EVERY_MS) return;
    try {
      await this.#verified();
    } catch (error) {
      // Nobody asked; the button says what is wrong.
      if (!(error instanceof IdentityError)) throw error;
    }
  }

  /** Whether a new token says that the address is verified; then the service is asked what that brought. */
  async #verified() {
    this.#checkedAt_ms = Date.now();
    await this.session.renew();
    if (!this.session.emailVerified || this.element.hidden) return this.session.emailVerified;
    this.element.hidden = true;
    toast(words.verified, 'done');
    await this.balance.refresh();
    return true;
  }
}
