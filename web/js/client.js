/** Speaking with the service: the session's token, limits of time, the service's clock, one error for all that goes wrong. */

import { IdentityError } from './session.js';
import { strings } from './strings.js';

/**
 * @typedef {object} Options
 * @property {unknown} [body] sent as JSON, or as it is when it is a FormData
 * @property {Record<string, string>} [headers]
 * @property {AbortSignal} [signal]
 * @property {boolean} [keepalive] the request outlives the page
 */

const TIMEOUT_MS = 30_000;
/** Three images of 8 MiB over a phone's connection. */
const UPLOAD_TIMEOUT_MS = 300_000;
const DOWNLOAD_TIMEOUT_MS = 600_000;

/** An answer that is not the one hoped for: the service's error body, or OFFLINE where none came. */
export class ApiError extends Error {
  /** @param {{code: string, message: string, suggested_action?: string, details?: any, request_id?: string}} body */
  constructor(body, status = 0, retryAfter_s = 0) {
    super(body.message);
    this.code = body.code;
    this.suggestedAction = body.suggested_action ?? '';
    this.details = body.details ?? {};
    this.requestId = body.request_id ?? '';
    this.status = status;
    this.retryAfter_s = retryAfter_s;
  }

  /** Nobody answered, or only something on the way that could not reach the service. */
  get isOutage() {
    return this.code === 'OFFLINE' || this.code === 'SIGN_IN_REFUSED' || this.status >= 500;
  }

  /** What is wrong with which field, as far as the service says. @returns {{field: string, message: string}[]} */
  get fields() {
    const { fields } = this.details;
    return Array.isArray(fields) ? fields.filter((each) => typeof each?.field === 'string') : [];
  }
}

export class Client {
  /** How far the service's clock is ahead of this machine's. */
  #ahead_ms = 0;

  /** @param {import('./session.js').Session} session */
  constructor(session) {
    this.session = session;
  }

  /** Unix seconds by the service's clock. */
  get now_s() {
    return (Date.now() + this.#ahead_ms) / 1000;
  }

  /**
   * The body of the answer. Raises ApiError, or what aborted the signal.
   * @param {string} method
   * @param {string} path
   * @param {Options} [options]
   * @returns {Promise<any>}
   */
  async json(method, path, options) {
    const response = await this.#send(method, path, options, limited(options));
    try {
      return await response.json();
    } catch (error) {
      throw noAnswer(error, options?.signal);
    }
  }

  /** An answer that goes on and on; only the signal ends it. @param {string} path @param {Record<string, string>} headers @param {AbortSignal} signal */
  stream(path, headers, signal) {
    return this.#send('GET', path, { headers, signal }, signal);
  }

  /** The whole file behind a signed URL, straight from where it is stored. @param {string} url */
  async file(url) {
    let response;
    try {
      response = await fetch(url, { signal: AbortSignal.timeout(DOWNLOAD_TIMEOUT_MS), credentials: 'omit' });
      if (response.ok) return await response.blob();
    } catch (error) {
      throw noAnswer(error);
    }
    throw await errorOf(response);
  }

  /**
   * Send with the session's token; a token that is refused is renewed once. What needs a recent sign-in asks for the
   * password, and is sent again.
   * @param {string} method
   * @param {string} path
   * @param {Options} [options]
   * @param {AbortSignal} [signal]
   */
  async #send(method, path, options = {}, signal) {
    let response = await this.#once(method, path, options, signal);
    if (response.status === 401 && (await codeOf(response)) === 'REAUTHENTICATION_REQUIRED') {
      const { signedInAgain } = await import('./reauthentication.js');
      // Typing takes longer than a request may.
      if (await signedInAgain(this.session)) response = await this.#once(method, path, options, limited(options));
    } else if (response.status === 401) {
      await this.#identified(() => this.session.renew());
      response = await this.#once(method, path, options, signal);
      // Something on the way may say 401 too.
      if (response.status === 401 && (await codeOf(response)) === 'UNAUTHENTICATED') this.session.end();
    }
    if (!response.ok) throw await errorOf(response);
    return response;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Options} options
   * @param {AbortSignal} [signal]
   */
  async #once(method, path, { body, headers, signal: given, keepalive }, signal) {
    const token = await this.#identified(() => this.session.token());
    const isForm = body instanceof FormData;
    try {
      const response = await fetch(path, {
        method,
        headers: {
          Authorization: `Bearer ${token}`,
          // A form names its own boundary.
          ...(body !== undefined && !isForm && { 'Content-Type': 'application/json' }),
          ...headers,
        },
        body: body === undefined ? undefined : isForm ? body : JSON.stringify(body),
        signal,
        keepalive,
        cache: 'no-store',
      });
      this.#setClock(response.headers.get('Date'));
      return response;
    } catch (error) {
      throw noAnswer(error, given);
    }
  }

  /** @template T @param {() => Promise<T>} ask @returns {Promise<T>} */
  async #identified(ask) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof IdentityError)) throw error;
      if (error.code === 'OFFLINE') throw noAnswer(error);
      if (!error.endsSession) {
        const { message, action } = strings.problems.signInRefused;
        throw new ApiError({ code: 'SIGN_IN_REFUSED', message, suggested_action: action });
      }
      throw new ApiError({ code: 'UNAUTHENTICATED', message: strings.signIn.ended }, 401);
    }
  }

  /** @param {string|null} date */
  #setClock(date) {
    const ahead_ms = date ? Date.parse(date) - Date.now() : NaN;
    // The header counts whole seconds and took a moment to come: smaller differences mean nothing.
    if (Number.isFinite(ahead_ms)) this.#ahead_ms = Math.abs(ahead_ms) > 2000 ? ahead_ms : 0;
  }
}

/** @param {Options} [options] */
function limited(options) {
  const limit = AbortSignal.timeout(options?.body instanceof FormData ? UPLOAD_TIMEOUT_MS : TIMEOUT_MS);
  return options?.signal ? AbortSignal.any([options.signal, limit]) : limit;
}

/** @param {unknown} error @param {AbortSignal} [signal] */
function noAnswer(error, signal) {
  if (signal?.aborted) return error;
  const { message, action } = strings.problems.offline;
  return new ApiError({ code: 'OFFLINE', message, suggested_action: action });
}

/** The code of an error, whose body stays to be read. @param {Response} response @returns {Promise<string>} */
async function codeOf(response) {
  try {
    return (await response.clone().json()).error.code;
  } catch {
    return '';
  }
}

/** @param {Response} response */
async function errorOf(response) {
  const retryAfter_s = Number(response.headers.get('Retry-After')) || 0;
  let body;
  try {
    body = (await response.json()).error;
  } catch {
    // A proxy between us and the service answers in its own shape.
    body = null;
  }
  const { message, action } = strings.problems.unreadable;
  return new ApiError(body ?? { code: 'UNREADABLE', message, suggested_action: action }, response.status, retryAfter_s);
}
