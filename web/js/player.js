/** One video at full size, over the studio: playing it, its facts, and what may be done with it. */

import { ApiError } from './api.js';
import { byId, el, icon, setText } from './dom.js';
import { dateTime, dimensions, duration, fileName, fileSize, modelName, number } from './format.js';
import { explain, problemNote } from './problems.js';
import { Segments } from './segments.js';
import { recall, remember } from './storage.js';
import { strings } from './strings.js';
import { toastProblem } from './toast.js';
import { isFinal } from './videos.js';

/** @typedef {import('./types.js').Video} Video */

const LOOP = 'loop';
/** A file that fails this often without having played in between is broken, not expired. */
const MAX_RENEWALS = 2;
const words = strings.player;

export class Player {
  /** @type {string|null} the video that is open */
  #id = null;
  #index = 0;
  #shown = '';
  #renewals = 0;

  /**
   * @param {import('./api.js').Api} api
   * @param {import('./videos.js').Videos} videos
   * @param {{reuse: (video: Video) => void, remove: (video: Video) => void, closed: () => void}} actions
   */
  constructor(api, videos, actions) {
    this.api = api;
    this.videos = videos;
    this.actions = actions;
    this.dialog = /** @type {HTMLDialogElement} */ (byId('player'));
    this.stage = byId('player-stage');
    this.loop = /** @type {HTMLInputElement} */ (byId('player-loop'));
    this.downloadButton = /** @type {HTMLButtonElement} */ (byId('player-download'));
    this.which = new Segments(/** @type {HTMLFieldSetElement} */ (byId('player-which')), 'which', (value) => this.#turnTo(Number(value)));
    this.loop.checked = recall(LOOP, false);
    this.#listen();
  }

  /** @param {string} id */
  async open(id) {
    if (this.#id === id) return;
    this.#id = id;
    this.#index = 0;
    this.#shown = '';
    this.stage.replaceChildren();
    const known = this.videos.get(id);
    // Filled before it opens, so that it opens at its size.
    if (known) this.#show(known);
    else this.#describe(null);
    if (!this.dialog.open) this.dialog.showModal();
    if (!known) await this.#fetch(id);
  }

  close() {
    if (this.dialog.open) this.dialog.close();
  }

  #listen() {
    this.dialog.addEventListener('close', () => {
      this.#id = null;
      // Taking the source away ends the download of what nobody watches.
      this.stage.querySelector('video')?.removeAttribute('src');
      this.stage.replaceChildren();
      this.actions.closed();
    });
    this.dialog.addEventListener('click', (event) => {
      if (event.target === this.dialog) this.close();
    });
    byId('player-close').addEventListener('click', () => this.close());
    byId('player-reuse').addEventListener('click', () => this.#act(this.actions.reuse));
    byId('player-remove').addEventListener('click', () => this.#act(this.actions.remove));
    this.downloadButton.addEventListener('click', () => void this.#download());
    this.loop.addEventListener('change', () => {
      remember(LOOP, this.loop.checked);
      const video = this.stage.querySelector('video');
      if (video) video.loop = this.loop.checked;
    });
    this.videos.addEventListener('change', (event) => {
      const { video } = /** @type {CustomEvent<{video: Video}>} */ (event).detail;
      if (video.id === this.#id) this.#show(video);
    });
    this.videos.addEventListener('remove', (event) => {
      if (/** @type {CustomEvent} */ (event).detail.id === this.#id) this.close();
    });
  }

  /** @param {(video: Video) => void} action */
  #act(action) {
    const video = this.#id && this.videos.get(this.#id);
    if (video) action(video);
  }

  /** A link from elsewhere may name a video that the library has not loaded. @param {string} id */
  async #fetch(id) {
    try {
      this.videos.put(await this.api.getVideo(id));
    } catch (error) {
      if (this.#id !== id) return;
      const problem = explain(error);
      const message = error instanceof ApiError && error.status === 404 ? words.missing : problem.message;
      this.stage.replaceChildren(problemNote({ ...problem, message, action: '' }));
    }
  }

  /** @param {Video} video */
  #show(video) {
    this.#describe(video);
    const shown = isFinal(video) ? video.status : 'unfinished';
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.stage.dataset.orientation = video.aspect_ratio === '9:16' ? 'portrait' : 'landscape';
    if (shown === 'completed') this.#play(video);
    else this.stage.replaceChildren(shown === 'unfinished' ? el('p', { class: 'stage-words' }, words.underWay) : ending(video));
  }

  /** @param {number} index */
  #turnTo(index) {
    this.#index = index;
    this.#act((video) => {
      this.#describe(video);
      this.#play(video);
    });
  }

  /** @param {Video} video */
  #play(video) {
    const [width, height] = video.size.split('x');
    const media = el('video', { controls: true, playsinline: true, preload: 'auto', width, height, 'aria-label': video.prompt });
    media.loop = this.loop.checked;
    this.#renewals = 0;
    media.addEventListener('timeupdate', () => {
      this.#renewals = 0;
    });
    media.addEventListener('error', () => void this.#renew(media, video.id));
    this.stage.replaceChildren(media);
    void this.#load(media, video.id, 0, true);
  }

  /** The URL has ended, or the connection was cut: go on with a new one from the same place. @param {HTMLVideoElement} media @param {string} id */
  async #renew(media, id) {
    if (!media.isConnected || !media.hasAttribute('src')) return;
    this.#renewals += 1;
    if (this.#renewals > MAX_RENEWALS) {
      this.#showPlaybackProblem(media, id, '');
      return;
    }
    await this.#load(media, id, media.currentTime, !media.paused);
  }

  /**
   * @param {HTMLVideoElement} media
   * @param {string} id
   * @param {number} at_s
   * @param {boolean} playing
   */
  async #load(media, id, at_s, playing) {
    const rate = media.playbackRate;
    let url;
    try {
      ({ url } = await this.api.contentUrl(id, 'video', this.#index));
    } catch (error) {
      if (media.isConnected) this.#showPlaybackProblem(media, id, explain(error).message);
      return;
    }
    if (!media.isConnected) return;
    media.src = url;
    media.playbackRate = rate;
    if (at_s) media.addEventListener('loadedmetadata', () => (media.currentTime = at_s), { once: true });
    // A browser that forbids playing before a click leaves the video paused, with its controls in sight.
    if (playing) media.play().catch(() => {});
  }

  /** @param {HTMLVideoElement} media @param {string} id @param {string} reason */
  #showPlaybackProblem(media, id, reason) {
    const at_s = media.currentTime;
    const again = el(
      'button',
      {
        type: 'button',
        class: 'button button-small',
        on: {
          click: () => {
            this.#renewals = 0;
            this.stage.replaceChildren(media);
            void this.#load(media, id, at_s, true);
          },
        },
      },
      strings.app.tryAgain,
    );
    this.stage.replaceChildren(problemNote({ message: words.failed, action: reason, requestId: '' }, again));
  }

  /** @param {Video|null} video */
  #describe(video) {
    const done = video?.status === 'completed';
    this.downloadButton.hidden = !done;
    byId('player-loop-field').hidden = !done;
    byId('player-reuse').hidden = !video;
    byId('player-remove').hidden = !video || !isFinal(video);
    setText(byId('player-prompt'), video?.prompt ?? '');
    const files = video?.files ?? [];
    byId('player-which').hidden = files.length < 2;
    this.which.show(files.map(({ index }) => ({ value: String(index), label: String(index + 1) })), String(this.#index));
    byId('player-facts').replaceChildren(
      ...(video ? facts(video, this.#index) : []).map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))),
    );
  }

  async #download() {
    const video = this.#id && this.videos.get(this.#id);
    if (!video) return;
    const label = byId('player-download-text');
    const index = this.#index;
    this.downloadButton.disabled = true;
    setText(label, words.downloading);
    try {
      save(await this.api.download(video.id, index), fileName(video.prompt, index));
    } catch (error) {
      toastProblem(error);
    } finally {
      this.downloadButton.disabled = false;
      setText(label, words.download);
    }
  }
}

/** Why there is nothing to play, what to do, and what came back. @param {Video} video */
function ending(video) {
  const { error, status, refunded, cost } = video;
  const card = strings.card;
  return el(
    'div',
    { class: 'ending' },
    icon(status === 'failed' ? 'alert' : 'stop'),
    el('h3', {}, error?.message ?? (status === 'failed' ? card.failed : card.canceled)),
    error?.reason && el('p', { class: 'ending-reason' }, el('b', {}, words.reason), ' ', error.reason),
    error?.suggested_action && el('p', {}, el('b', {}, words.suggestion), ' ', error.suggested_action),
    cost > 0 && el('p', { class: refunded ? 'refund' : 'refund refund-none' }, refunded ? card.refunded(number(refunded), refunded) : card.noRefund),
  );
}

/** @param {Video} video @param {number} index @returns {[string, string][]} */
function facts(video, index) {
  const file = video.files[index];
  /** @type {[string, string|null|false|undefined][]} */
  const all = [
    [words.model, modelName(video.model)],
    [words.length, duration(Number(video.seconds))],
    [words.size, dimensions(file ? `${file.width}x${file.height}` : video.size)],
    [words.sound, video.generate_audio ? words.soundOn : words.soundOff],
    [words.negative, video.negative_prompt],
    [words.seed, video.seed === null ? null : String(video.seed)],
    [words.made, dateTime(video.created_at)],
    [words.took, video.completed_at !== null && duration(video.completed_at - video.created_at)],
    [words.cost, strings.compose.credits(number(video.cost), video.cost)],
    [words.returned, video.refunded > 0 && strings.compose.credits(number(video.refunded), video.refunded)],
    [words.file, file && fileSize(file.size_bytes)],
    [words.keptUntil, video.expires_at !== null && dateTime(video.expires_at)],
  ];
  return /** @type {[string, string][]} */ (all.filter(([, value]) => value));
}

/** @param {Blob} blob @param {string} name */
function save(blob, name) {
  const url = URL.createObjectURL(blob);
  el('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
