/** The video that the next one goes on from. It survives a reload. Event: "change". */

import { ApiError } from './client.js';
import { byId, el, iconButton } from './dom.js';
import { forget, recall, remember } from './storage.js';
import { strings } from './strings.js';

/** @typedef {import('./types.js').Video} Video */

const KEPT = 'source';
const words = strings.source;

export class Source extends EventTarget {
  /** @type {Video|null} */
  video = null;

  /** @param {import('./api.js').Api} api @param {import('./posters.js').Posters} posters */
  constructor(api, posters) {
    super();
    this.api = api;
    this.posters = posters;
    this.box = byId('source');
  }

  async load() {
    const id = recall(KEPT, '');
    if (!id) return;
    try {
      const video = await this.api.getVideo(id);
      if (!this.video) this.set(video);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // Deleted meanwhile: then there is nothing to go on from.
      if (error.status === 404) forget(KEPT);
    }
  }

  /** @param {Video|null} video */
  set(video) {
    if (video?.id === this.video?.id) return;
    this.video = video;
    if (video) remember(KEPT, video.id);
    else forget(KEPT);
    this.#draw();
    this.dispatchEvent(new Event('change'));
  }

  #draw() {
    const { video } = this;
    this.box.hidden = !video;
    if (!video) {
      this.box.replaceChildren();
      return;
    }
    const poster = el('img', { alt: '' });
    const frame = el('div', { class: 'source-frame' }, poster);
    this.box.replaceChildren(
      frame,
      el('div', {}, el('p', { class: 'source-title' }, words.title), el('p', { class: 'source-prompt' }, video.prompt)),
      iconButton('close', words.remove, () => {
        this.set(null);
        byId('prompt').focus();
      }),
    );
    this.posters.show(frame, [poster], video.id, () => poster.remove());
  }
}
