/**
 * Keeps the unfinished videos up to date by asking, while the stream of events is not there: often while they are young,
 * seldom later.
 */

import { ApiError } from './client.js';
import { isFinal } from './videos.js';

/** @typedef {import('./types.js').Video} Video */

/** How long to wait between two looks, by the age of the job. */
const INTERVALS = [
  { until_s: 30, every_ms: 1000 },
  { until_s: 120, every_ms: 2000 },
  { until_s: 300, every_ms: 4000 },
  { until_s: Infinity, every_ms: 10_000 },
];
const MAX_BACKOFF_MS = 30_000;

export class Polling {
  #running = false;
  /** @type {Map<string, number>} the timer of each job's next look */
  #timers = new Map();
  /** @type {Set<string>} jobs that are being asked for */
  #asking = new Set();
  #failures = 0;

  /** @param {import('./api.js').Api} api @param {import('./videos.js').Videos} videos */
  constructor(api, videos) {
    this.api = api;
    this.videos = videos;
    videos.addEventListener('change', (event) => this.#plan(/** @type {CustomEvent} */ (event).detail.video));
    videos.addEventListener('remove', (event) => this.#drop(/** @type {CustomEvent} */ (event).detail.id));
  }

  start() {
    if (this.#running) return;
    this.#running = true;
    for (const video of this.videos.unfinished) this.#plan(video);
  }

  stop() {
    this.#running = false;
    for (const id of [...this.#timers.keys()]) this.#drop(id);
  }

  /** @param {Video} video */
  #plan(video) {
    this.#drop(video.id);
    if (!this.#running || isFinal(video)) return;
    this.#timers.set(video.id, setTimeout(() => void this.#look(video.id), this.#interval_ms(video)));
  }

  /** @param {Video} video */
  #interval_ms(video) {
    const age_s = this.api.now_s - video.created_at;
    const { every_ms } = /** @type {typeof INTERVALS[0]} */ (INTERVALS.find(({ until_s }) => age_s < until_s));
    return Math.min(every_ms * 2 ** this.#failures, Math.max(every_ms, MAX_BACKOFF_MS));
  }

  /** @param {string} id */
  #drop(id) {
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
  }

  /** @param {string} id */
  async #look(id) {
    if (this.#asking.has(id)) return;
    this.#asking.add(id);
    try {
      const video = await this.api.getVideo(id);
      this.#failures = 0;
      this.videos.put(video);
      this.#plan(video);
    } catch (error) {
      this.#missed(id, error);
    } finally {
      this.#asking.delete(id);
    }
  }

  /** @param {string} id @param {unknown} error */
  #missed(id, error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 404) {
      this.videos.remove(id);
    } else if (error.status !== 401) {
      this.#failures += 1;
      const video = this.videos.get(id);
      if (video) this.#plan(video);
    }
  }
}
