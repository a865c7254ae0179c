/** Deleting videos with a way back: they go out of sight at once, and the service is asked some seconds later. */

import { ApiError } from './client.js';
import { strings } from './strings.js';
import { toast, toastProblem } from './toast.js';

/** @typedef {import('./types.js').Video} Video */

const words = strings.card;

export class Removal {
  /** Those that are out of sight and not asked for yet. @type {Set<string>} */
  #waiting = new Set();

  /** @param {import('./api.js').Api} api @param {import('./videos.js').Videos} videos */
  constructor(api, videos) {
    this.api = api;
    this.videos = videos;
    // Whoever leaves has said what he wants.
    addEventListener('pagehide', () => {
      for (const id of this.#waiting) void this.#ask(id, true);
    });
  }

  /** @param {Video[]} removed */
  remove(removed) {
    const ids = removed.map(({ id }) => id);
    for (const id of ids) {
      this.#waiting.add(id);
      this.videos.hide(id);
    }
    const box = toast(words.removed(ids.length), 'info', {
      label: strings.app.undo,
      run: () => this.#bringBack(ids),
      expired: () => void Promise.all(ids.map((id) => this.#ask(id, false))),
    });
    // What had the keyboard's place is gone.
    if (document.activeElement === document.body || document.activeElement === null) box.querySelector('button')?.focus();
  }

  /** @param {string[]} ids */
  #bringBack(ids) {
    for (const id of ids) {
      this.#waiting.delete(id);
      this.videos.unhide(id);
    }
    toast(words.broughtBack(ids.length), 'done');
  }

  /** @param {string} id @param {boolean} leaving */
  async #ask(id, leaving) {
    if (!this.#waiting.delete(id)) return;
    try {
      await this.api.deleteVideo(id, leaving);
      this.videos.remove(id);
    } catch (error) {
      if (leaving) return;
      if (error instanceof ApiError && error.status === 404) {
        this.videos.remove(id);
        return;
      }
      this.videos.unhide(id);
      toastProblem(error);
    }
  }
}
