/**
 * Who is signed in, by Identity Platform's REST calls. The refresh token is kept in this browser, the ID token only in
 * memory; it is renewed a minute before it ends. Events: "ended" when the session ends by itself or in another tab.
 */

import { forget, onChangeElsewhere, recall, remember } from './storage.js';

const KEPT = 'session';
const NOTICE = 'notice';
const RENEW_BEFORE_MS = 60_000;
const TIMEOUT_MS = 20_000;

/**
 * @typedef {object} Config where identity is: /config.json
 * @property {string} identity_url base of the Identity Toolkit calls
 * @property {string} token_url base of the token service
 * @property {string} api_key
 * @property {string|null} tenant
 */

/** The identity service said no; `code` is its own, such as EMAIL_EXISTS, or OFFLINE. */
export class IdentityError extends Error {
  /** @param {string} code */
  constructor(code) {
    super(code);
    this.code = code;
  }
}

export class Session extends EventTarget {
  /** @type {string|null} */
  #idToken = null;
  #renewAt_ms = 0;
  /** @type {Promise<void>|null} */
  #renewal = null;

  /** @param {Config} config */
  constructor(config) {
    super();
    this.config = config;
    /** @type {{refreshToken: string, email: string}|null} */
    this.kept = recall(KEPT, null);
    onChangeElsewhere(KEPT, () => this.#followOtherTab());
  }

  get signedIn() {
    return this.kept !== null;
  }

  get email() {
    return this.kept?.email ?? '';
  }

  /** @param {string} email @param {string} password */
  signUp(email, password) {
    return this.#enter('signUp', email, password);
  }

  /** @param {string} email @param {string} password */
  signIn(email, password) {
    return this.#enter('signInWithPassword', email, password);
  }

  /** What is to be said at the door, once. */
  get notice() {
    const notice = recall(NOTICE, '');
    forget(NOTICE);
    return notice;
  }

  /** @param {string} [notice] said at the door after the page was loaded anew */
  signOut(notice = '') {
    if (notice) remember(NOTICE, notice);
    this.kept = null;
    this.#idToken = null;
    forget(KEPT);
  }

  /** An ID token that is good for at least some seconds. */
  async token() {
    if (!this.#idToken || Date.now() >= this.#renewAt_ms) await this.renew();
    return /** @type {string} */ (this.#idToken);
  }

  /** Get a new ID token; callers at the same time share one request. */
  renew() {
    this.#renewal ??= this.#renew().finally(() => {
      this.#renewal = null;
    });
    return this.#renewal;
  }

  /** The service does not accept this session any more. */
  end() {
    if (!this.kept) return;
    this.signOut();
    this.dispatchEvent(new Event('ended'));
  }

  /** @param {'signUp'|'signInWithPassword'} call @param {string} email @param {string} password */
  async #enter(call, email, password) {
    const { identity_url, api_key, tenant } = this.config;
    const answer = await post(
      `${identity_url}/accounts:${call}?key=${encodeURIComponent(api_key)}`,
      'application/json',
      JSON.stringify({ email, password, returnSecureToken: true, ...(tenant && { tenantId: tenant }) }),
    );
    this.kept = { refreshToken: answer.refreshToken, email };
    remember(KEPT, this.kept);
    this.#accept(answer.idToken, answer.expiresIn);
  }

  async #renew() {
    const before = this.kept;
    if (!before) throw new IdentityError('SIGNED_OUT');
    const { token_url, api_key } = this.config;
    try {
      const answer = await post(
        `${token_url}/token?key=${encodeURIComponent(api_key)}`,
        'application/x-www-form-urlencoded',
        new URLSearchParams({ grant_type: 'refresh_token', refresh_token: before.refreshToken }).toString(),
      );
      if (this.kept !== before) throw new IdentityError('SIGNED_OUT');
      this.kept = { ...before, refreshToken: answer.refresh_token };
      remember(KEPT, this.kept);
      this.#accept(answer.id_token, answer.expires_in);
    } catch (error) {
      // A service that is away has said nothing about the session.
      if (error instanceof IdentityError && error.code !== 'OFFLINE' && this.kept === before) this.end();
      throw error;
    }
  }

  /** @param {string} idToken @param {string} expiresIn_s */
  #accept(idToken, expiresIn_s) {
    this.#idToken = idToken;
    this.#renewAt_ms = Date.now() + Number(expiresIn_s) * 1000 - RENEW_BEFORE_MS;
  }

  #followOtherTab() {
    const kept = /** @type {typeof this.kept} */ (recall(KEPT, null));
    if (kept && this.kept && kept.email === this.kept.email) {
      this.kept = kept;
    } else if (kept || this.kept) {
      location.reload();
    }
  }
}

/**
 * @param {string} url
 * @param {string} type
 * @param {string} body
 * @returns {Promise<any>}
 */
async function post(url, type, body) {
  let response;
  let answer;
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': type },
      body,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    answer = await response.json();
  } catch {
    throw new IdentityError('OFFLINE');
  }
  if (response.ok) return answer;
  if (response.status >= 500) throw new IdentityError('OFFLINE');
  // "WEAK_PASSWORD : Password should be at least 6 characters" carries its code in front.
  throw new IdentityError(String(answer?.error?.message ?? response.status).split(' ')[0]);
}
