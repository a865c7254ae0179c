/**
 * Keeps the page's videos as the service has them: by its stream of events and, while that is not to be had, by asking.
 * Events: "reachable" ({reachable}) when the service goes away or comes back.
 *
 * A tab that nobody sees lets go of its stream, since browsers share few connections among all tabs of a site; unless a
 * notification is awaited. Whoever comes back, from another tab or from sleep, is told what changed since its last event.
 */

import { ApiError } from './client.js';
import { readEvents } from './events.js';
import { Polling } from './polling.js';

/** The service sends at least a comment each 15 s: longer silence is a connection that nobody told us is dead. */
const SILENCE_MS = 40_000;
const WAKE_SILENCE_MS = 20_000;
const COME_BACK_MS = 1000;
const MAX_BACKOFF_MS = 15_000;
/** One missed connection may be a function that was restarted. */
const FAILURES_SHOWN_FROM = 2;

export class Live extends EventTarget {
  #lastId = '';
  #failures = 0;
  #reachable = true;
  #heardAt_ms = 0;
  #connection = new AbortController();
  #wake = () => {};

  /**
   * @param {import('./api.js').Api} api
   * @param {import('./videos.js').Videos} videos
   * @param {() => boolean} isAwaited whether somebody who does not look wants to know
   */
  constructor(api, videos, isAwaited) {
    super();
    this.api = api;
    this.videos = videos;
    this.isAwaited = isAwaited;
    this.polling = new Polling(api, videos);
  }

  /** Never returns while the session lasts. */
  async run() {
    document.addEventListener('visibilitychange', () => this.#lookAround());
    addEventListener('online', () => this.#lookAround());
    setInterval(() => this.#checkSilence(SILENCE_MS), SILENCE_MS / 4);
    while (this.api.session.signedIn) {
      if (!this.#isWanted) {
        await this.#pause(null);
        continue;
      }
      try {
        await this.#follow();
        await this.#pause(COME_BACK_MS);
      } catch (error) {
        await this.#missed(error);
      }
    }
    this.polling.stop();
  }

  get #isWanted() {
    return !document.hidden || (this.isAwaited() && this.videos.unfinished.length > 0);
  }

  /** One connection, from its beginning to its end. */
  async #follow() {
    this.#connection = new AbortController();
    const { signal } = this.#connection;
    this.#heardAt_ms = Date.now();
    const response = await this.api.events(this.#lastId, signal);
    for await (const { name, id, data } of readEvents(response, () => this.#heard())) {
      this.#lastId = id || this.#lastId;
      if (name === 'video') this.videos.put(JSON.parse(data));
      if (name === 'deleted') this.videos.remove(JSON.parse(data).id);
    }
  }

  #heard() {
    this.#heardAt_ms = Date.now();
    this.#failures = 0;
    this.#setReachable(true);
    this.polling.stop();
  }

  /** @param {unknown} error */
  async #missed(error) {
    const isOurs = this.#connection.signal.aborted;
    if (!isOurs && !(error instanceof ApiError) && !(error instanceof TypeError)) throw error;
    if (error instanceof ApiError && error.status === 401 && !this.api.session.signedIn) return;
    if (isOurs) {
      await this.#pause(0);
      return;
    }
    this.#failures += 1;
    const isOutage = !(error instanceof ApiError) || error.isOutage;
    if (isOutage && this.#failures >= FAILURES_SHOWN_FROM) this.#setReachable(false);
    if (!document.hidden) this.polling.start();
    const wanted_ms = error instanceof ApiError ? error.retryAfter_s * 1000 : 0;
    await this.#pause(Math.min(Math.max(COME_BACK_MS * 2 ** (this.#failures - 1), wanted_ms), MAX_BACKOFF_MS));
  }

  /** Somebody came or left, or the network is back. */
  #lookAround() {
    if (!this.#isWanted) {
      this.#connection.abort();
      this.polling.stop();
      return;
    }
    this.#checkSilence(WAKE_SILENCE_MS);
    this.#wake();
  }

  /** After sleep a connection may be dead without a word. @param {number} most_ms */
  #checkSilence(most_ms) {
    if (Date.now() - this.#heardAt_ms > most_ms) this.#connection.abort();
  }

  /** @param {boolean} reachable */
  #setReachable(reachable) {
    if (this.#reachable === reachable) return;
    this.#reachable = reachable;
    this.dispatchEvent(new CustomEvent('reachable', { detail: { reachable } }));
  }

  /** Until so much time is over (null: without end), or until there is a reason to go on at once. @param {number|null} ms */
  #pause(ms) {
    return /** @type {Promise<void>} */ (
      new Promise((resolve) => {
        this.#wake = resolve;
        if (ms !== null) setTimeout(resolve, ms);
      })
    );
  }
}
