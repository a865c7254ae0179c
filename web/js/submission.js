/**
 * Sending a request so that it is made and charged once. The Idempotency-Key is kept, across reloads too, until the
 * answer is known; the same request is then repeated under the same key.
 */

import { ApiError } from './client.js';
import { forget, recall, remember } from './storage.js';
import { strings } from './strings.js';

/**
 * @typedef {import('./types.js').CreateVideo} CreateVideo
 * @typedef {{key: string, body: string, at_ms: number}} Pending
 */

const KEPT = 'pending';
/** Older than this, pressing the button again means another video. */
const SAME_WISH_MS = 10 * 60_000;
const PAUSES_MS = [1000, 2000, 4000];
const MAX_PAUSE_MS = 15_000;

export class Submission {
  /** @param {import('./api.js').Api} api */
  constructor(api) {
    this.api = api;
  }

  /**
   * The accepted video; raises ApiError with what to tell the user.
   * @param {CreateVideo} request
   * @param {number} maxCost the price that was shown; it isn't part of what makes two requests the same
   * @param {import('./images.js').Images} images
   * @param {() => void} retrying called before each repetition
   */
  async send(request, maxCost, images, retrying) {
    const { key } = this.#pending(`${JSON.stringify(request)} ${images.fingerprint}`);
    const priced = { ...request, max_cost: maxCost };
    const body = images.all.length ? form(priced, images) : priced;
    for (const pause_ms of [...PAUSES_MS, null]) {
      try {
        const video = await this.api.createVideo(body, key);
        forget(KEPT);
        return video;
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (!outcomeUnknown(error)) {
          forget(KEPT);
          throw error;
        }
        if (pause_ms === null) break;
        retrying();
        await pause(Math.min(Math.max(pause_ms, error.retryAfter_s * 1000), MAX_PAUSE_MS));
      }
    }
    const { message, action } = strings.problems.unknownOutcome;
    throw new ApiError({ code: 'OUTCOME_UNKNOWN', message, suggested_action: action });
  }

  /** @param {string} body @returns {Pending} */
  #pending(body) {
    const before = /** @type {Pending|null} */ (recall(KEPT, null));
    if (before && before.body === body && Date.now() - before.at_ms < SAME_WISH_MS) return before;
    const pending = { key: crypto.randomUUID(), body, at_ms: Date.now() };
    remember(KEPT, pending);
    return pending;
  }
}

/** @param {ApiError} error */
const outcomeUnknown = (error) => error.isOutage && error.code !== 'GENERATION_DISABLED';

/** @param {CreateVideo} request @param {import('./images.js').Images} images */
function form(request, images) {
  const data = new FormData();
  for (const [name, value] of Object.entries(request)) data.append(name, String(value));
  images.appendTo(data);
  return data;
}

/** @param {number} ms */
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
