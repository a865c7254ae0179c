/** A look at a video without opening it: it plays, without sound, in the card that the pointer rests on. */

import { ApiError } from './client.js';
import { el } from './dom.js';

/** Passing over a card is not resting on it. */
const REST_MS = 350;

export class Preview {
  #timer = 0;
  /** @type {HTMLVideoElement|null} */
  #playing = null;
  #still = matchMedia('(prefers-reduced-motion: reduce)');

  /** @param {import('./signed_urls.js').SignedUrls} urls */
  constructor(urls) {
    this.urls = urls;
  }

  /** @param {HTMLElement} frame @param {string} id */
  attach(frame, id) {
    frame.addEventListener('pointerenter', (event) => {
      if (event.pointerType !== 'mouse' || this.#still.matches) return;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => void this.#play(frame, id), REST_MS);
    });
    frame.addEventListener('pointerleave', () => this.stop());
  }

  stop() {
    clearTimeout(this.#timer);
    if (!this.#playing) return;
    this.#playing.closest('.previewing')?.classList.remove('previewing');
    // Taking the source away ends the download of what nobody watches.
    this.#playing.removeAttribute('src');
    this.#playing.load();
    this.#playing.remove();
    this.#playing = null;
  }

  /** @param {HTMLElement} frame @param {string} id */
  async #play(frame, id) {
    this.stop();
    let src;
    try {
      src = await this.urls.of(id, 'video');
    } catch (error) {
      // Opening the video says what is wrong; a look need not.
      if (error instanceof ApiError) return;
      throw error;
    }
    if (!frame.matches(':hover')) return;
    const video = el('video', { class: 'preview', src, muted: true, loop: true, playsinline: true, 'aria-hidden': true, tabindex: -1 });
    video.muted = true;
    this.#playing = video;
    video.addEventListener('playing', () => frame.classList.add('previewing'), { once: true });
    (frame.querySelector('.poster') ?? frame).after(video);
    // It may be stopped before it has begun, or be forbidden: the poster stays.
    video.play().catch(() => {});
  }
}
