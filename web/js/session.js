/**
 * Who is signed in, by Identity Platform's REST calls. The refresh token is kept in this browser, the ID token only in
 * memory; it is renewed a minute before it ends. Events: "ended" when the session ends by itself or in another tab.
 */

import { forget, onChangeElsewhere, recall, remember } from './storage.js';

const KEPT = 'session';
const NOTICE = 'notice';
const RENEW_BEFORE_MS = 60_000;
const TIMEOUT_MS = 20_000;

/** Answers of the token service that mean that the session is over. Any other says nothing about it. */
const ENDED = new Set(['TOKEN_EXPIRED', 'INVALID_REFRESH_TOKEN', 'MISSING_REFRESH_TOKEN', 'USER_NOT_FOUND', 'USER_DISABLED', 'SIGNED_OUT']);

/**
 * @typedef {object} Config where identity is: /config.json
 * @property {string} identity_url base of the Identity Toolkit calls
 * @property {string} token_url base of the token service
 * @property {string} api_key
 * @property {string|null} tenant
 * @property {string|null} [google_client_id] set where people can sign in with Google
 * @property {string} [google_url] Google's sign-in page
 * @property {string} [mailbox_url] where mail is shown instead of sent, on a laptop
 */

/**
 * The identity service said no; `code` is its own, such as EMAIL_EXISTS, or OFFLINE if it didn't answer, or REFUSED if it
 * gave a sentence instead, as for a blocked API key.
 */
export class IdentityError extends Error {
  /** @param {string} code */
  constructor(code) {
    super(code);
    this.code = code;
  }

  get endsSession() {
    return ENDED.has(this.code);
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

  /** Whether the newest token says that the address is verified. */
  get emailVerified() {
    return this.#idToken !== null && claims(this.#idToken).email_verified === true;
  }

  /** Whether this is a sign-in with Google, whose user may have no password. */
  get withGoogle() {
    const firebase = /** @type {any} */ (this.#idToken && claims(this.#idToken).firebase);
    return firebase?.sign_in_provider === 'google.com';
  }

  /** @param {string} email @param {string} password */
  async signUp(email, password) {
    this.enter(await this.call('signUp', { email, password, returnSecureToken: true, ...this.tenant }));
  }

  /** @param {string} email @param {string} password */
  async signIn(email, password) {
    this.enter(await this.call('signInWithPassword', { email, password, returnSecureToken: true, ...this.tenant }));
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

  /** What a call says of the tenant. */
  get tenant() {
    return this.config.tenant ? { tenantId: this.config.tenant } : {};
  }

  /** A call of the Identity Toolkit. Raises IdentityError. @param {string} name @param {object} body @returns {Promise<any>} */
  call(name, body) {
    const { identity_url, api_key } = this.config;
    const headers = { 'Content-Type': 'application/json', 'X-Firebase-Locale': document.documentElement.lang };
    const url = `${identity_url}/accounts:${name}?key=${encodeURIComponent(api_key)}`;
    return request(url, { method: 'POST', headers, body: JSON.stringify(body) });
  }

  /** Begin a session with what a sign-in answered. @param {{refreshToken: string, email: string, idToken: string, expiresIn: string}} answer */
  enter({ refreshToken, email, idToken, expiresIn }) {
    this.kept = { refreshToken, email };
    remember(KEPT, this.kept);
    this.#accept(idToken, expiresIn);
  }

  async #renew() {
    const before = this.kept;
    if (!before) throw new IdentityError('SIGNED_OUT');
    const { token_url, api_key } = this.config;
    try {
      const answer = await request(`${token_url}/token?key=${encodeURIComponent(api_key)}`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: before.refreshToken }).toString(),
      });
      // Another tab may have renewed the same user's session meanwhile; that is no end of it.
      if (this.kept?.email !== before.email) throw new IdentityError('SIGNED_OUT');
      this.kept = { ...before, refreshToken: answer.refresh_token };
      remember(KEPT, this.kept);
      this.#accept(answer.id_token, answer.expires_in);
    } catch (error) {
      if (error instanceof IdentityError && error.endsSession && this.kept === before) this.end();
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

/** The answer's JSON. Raises IdentityError. @param {string} url @param {RequestInit} options @returns {Promise<any>} */
export async function request(url, options) {
  let response;
  let answer;
  try {
    response = await fetch(url, { ...options, signal: AbortSignal.timeout(TIMEOUT_MS) });
    answer = await response.json();
  } catch {
    throw new IdentityError('OFFLINE');
  }
  if (response.ok) return answer;
  if (response.status >= 500) throw new IdentityError('OFFLINE');
  // "WEAK_PASSWORD : Password should be at least 6 characters" begins with its code; other answers are sentences.
  const code = String(answer?.error?.message ?? '').split(' : ')[0] ?? '';
  if (/^[A-Z0-9_]+$/.test(code)) throw new IdentityError(code);
  console.warn('Refused by the identity service:', response.status, answer?.error?.message);
  throw new IdentityError('REFUSED');
}

/** What a token says. It isn't verified here: only what the page shows depends on it. @param {string} token @returns {Record<string, unknown>} */
function claims(token) {
  const payload = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
  return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(payload), (char) => char.charCodeAt(0))));
}
