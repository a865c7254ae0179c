/** The service under /v1: one method per operation, one error for everything that goes wrong. */

import { IdentityError } from './session.js';
import { strings } from './strings.js';

/**
 * @typedef {import('./types.js').Video} Video
 * @typedef {import('./types.js').Model} Model
 * @typedef {import('./types.js').CreateVideo} CreateVideo
 * @typedef {import('./types.js').Estimate} Estimate
 * @typedef {import('./types.js').AccountView} AccountView
 * @typedef {import('./types.js').Transaction} Transaction
 * @typedef {import('./types.js').SignedUrl} SignedUrl
 * @typedef {import('./types.js').Canceled} Canceled
 * @typedef {{body?: unknown, headers?: Record<string, string>, signal?: AbortSignal}} Options
 */

/**
 * @template T
 * @typedef {import('./types.js').Page<T>} Page
 */

const TIMEOUT_MS = 30_000;
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
}

export class Api {
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

  /** @returns {Promise<Page<Model>>} */
  models() {
    return this.#json('GET', '/v1/models');
  }

  /** @param {CreateVideo} body @param {AbortSignal} signal @returns {Promise<Estimate>} */
  estimate(body, signal) {
    return this.#json('POST', '/v1/videos/estimate', { body, signal });
  }

  /** @param {CreateVideo} body @param {string} key makes repeating harmless @returns {Promise<Video>} */
  createVideo(body, key) {
    return this.#json('POST', '/v1/videos', { body, headers: { 'Idempotency-Key': key } });
  }

  /** @param {Record<string, string|number>} query @returns {Promise<Page<Video>>} */
  listVideos(query) {
    return this.#json('GET', `/v1/videos?${search(query)}`);
  }

  /** @param {string} id @returns {Promise<Video>} */
  getVideo(id) {
    return this.#json('GET', `/v1/videos/${encodeURIComponent(id)}`);
  }

  /** @param {string} id @returns {Promise<Canceled>} */
  cancelVideo(id) {
    return this.#json('POST', `/v1/videos/${encodeURIComponent(id)}/cancel`);
  }

  /** @param {string} id */
  deleteVideo(id) {
    return this.#json('DELETE', `/v1/videos/${encodeURIComponent(id)}`);
  }

  /**
   * A URL that plays without a header, for a while.
   * @param {string} id
   * @param {'video'|'thumbnail'} variant
   * @returns {Promise<SignedUrl>}
   */
  contentUrl(id, variant, index = 0) {
    return this.#json('GET', `/v1/videos/${encodeURIComponent(id)}/content?${search({ variant, index, redirect: 'json' })}`);
  }

  /** The whole file, straight from where it is stored. @param {string} id */
  async download(id, index = 0) {
    const { url } = await this.contentUrl(id, 'video', index);
    let response;
    try {
      response = await fetch(url, { signal: AbortSignal.timeout(DOWNLOAD_TIMEOUT_MS), credentials: 'omit' });
      if (response.ok) return await response.blob();
    } catch (error) {
      throw noAnswer(error);
    }
    throw await errorOf(response);
  }

  /** @returns {Promise<AccountView>} */
  account() {
    return this.#json('GET', '/v1/account');
  }

  /** @param {Record<string, string|number>} query @returns {Promise<Page<Transaction>>} */
  transactions(query) {
    return this.#json('GET', `/v1/account/transactions?${search(query)}`);
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Options} [options]
   * @returns {Promise<any>}
   */
  async #json(method, path, options) {
    const response = await this.#send(method, path, options);
    try {
      return await response.json();
    } catch (error) {
      throw noAnswer(error, options?.signal);
    }
  }

  /**
   * Send with the session's token; a token that is refused is renewed once.
   * @param {string} method
   * @param {string} path
   * @param {Options} [options]
   */
  async #send(method, path, options = {}) {
    let response = await this.#once(method, path, options);
    if (response.status === 401) {
      await this.#renew();
      response = await this.#once(method, path, options);
      if (response.status === 401) this.session.end();
    }
    if (!response.ok) throw await errorOf(response);
    return response;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Options} options
   */
  async #once(method, path, { body, headers, signal }) {
    const token = await this.#token();
    const limit = AbortSignal.timeout(TIMEOUT_MS);
    try {
      const response = await fetch(path, {
        method,
        headers: {
          Authorization: `Bearer ${token}`,
          ...(body !== undefined && { 'Content-Type': 'application/json' }),
          ...headers,
        },
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: signal ? AbortSignal.any([signal, limit]) : limit,
        cache: 'no-store',
      });
      this.#setClock(response.headers.get('Date'));
      return response;
    } catch (error) {
      throw noAnswer(error, signal);
    }
  }

  async #token() {
    try {
      return await this.session.token();
    } catch (error) {
      throw identityFailure(error);
    }
  }

  async #renew() {
    try {
      await this.session.renew();
    } catch (error) {
      throw identityFailure(error);
    }
  }

  /** @param {string|null} date */
  #setClock(date) {
    const ahead_ms = date ? Date.parse(date) - Date.now() : NaN;
    // The header counts whole seconds and took a moment to come: smaller differences mean nothing.
    if (Number.isFinite(ahead_ms)) this.#ahead_ms = Math.abs(ahead_ms) > 2000 ? ahead_ms : 0;
  }
}

/** @param {Record<string, string|number>} query */
const search = (query) => new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)])).toString();

/** @param {unknown} error @param {AbortSignal} [signal] */
function noAnswer(error, signal) {
  if (signal?.aborted) return error;
  return new ApiError({ code: 'OFFLINE', message: strings.problems.offline.message, suggested_action: strings.problems.offline.action });
}

/** @param {unknown} error */
function identityFailure(error) {
  if (!(error instanceof IdentityError)) return error;
  if (error.code === 'OFFLINE') return noAnswer(error);
  return new ApiError({ code: 'UNAUTHENTICATED', message: strings.signIn.ended }, 401);
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
