/** Poster frames, fetched when they come near the screen. A signed URL is asked for again when it has ended. */

import { ApiError } from './client.js';

const NEAR = '300px';

export class Posters {
  /** @type {WeakMap<Element, () => void>} */
  #waiting = new WeakMap();
  #observer = new IntersectionObserver((entries) => this.#arrived(entries), { rootMargin: NEAR });

  /** @param {import('./signed_urls.js').SignedUrls} urls */
  constructor(urls) {
    this.urls = urls;
  }

  /**
   * Fill the images with the video's poster once `frame` comes near; `failed` when there is none to be had.
   * @param {Element} frame
   * @param {HTMLImageElement[]} images
   * @param {string} id
   * @param {() => void} failed
   */
  show(frame, images, id, failed) {
    this.#waiting.set(frame, () => void this.#load(images, id, failed));
    this.#observer.observe(frame);
  }

  /** @param {IntersectionObserverEntry[]} entries */
  #arrived(entries) {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      this.#observer.unobserve(target);
      this.#waiting.get(target)?.();
      this.#waiting.delete(target);
    }
  }

  /** @param {HTMLImageElement[]} images @param {string} id @param {() => void} failed */
  async #load(images, id, failed) {
    for (const fresh of [false, true]) {
      try {
        await fill(images, await this.urls.of(id, 'thumbnail', 0, fresh));
        return;
      } catch (error) {
        if (error instanceof ApiError) break;
      }
    }
    failed();
  }
}

/** @param {HTMLImageElement[]} images @param {string} url */
const fill = (images, url) =>
  Promise.all(
    images.map(
      (image) =>
        new Promise((resolve, reject) => {
          image.onload = resolve;
          image.onerror = () => reject(new Error('the poster did not load'));
          image.src = url;
        }),
    ),
  );
