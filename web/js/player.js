/** One video at full size, over the studio: playing it, its facts, and what may be done with it. */

import { ApiError } from './client.js';
import { copy } from './clipboard.js';
import { byId, button, el, icon, setText } from './dom.js';
import { facts } from './facts.js';
import { fileName, number } from './format.js';
import { canExtend } from './models.js';
import { explain, problemNote } from './problems.js';
import { go, toVideo } from './router.js';
import { save } from './save.js';
import { Segments } from './segments.js';
import { recall, remember } from './storage.js';
import { strings } from './strings.js';
import { toastProblem } from './toast.js';
import { isFinal } from './videos.js';

/**
 * @typedef {import('./types.js').Video} Video
 *
 * @typedef {object} PlayerActions
 * @property {(video: Video) => void} reuse
 * @property {(video: Video) => void} extend
 * @property {(videos: Video[]) => void} remove
 * @property {(id: string) => void} closed
 * @property {() => Video[]} shown those to turn the pages of
 */

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
   * @param {import('./signed_urls.js').SignedUrls} urls
   * @param {PlayerActions} actions
   * @param {() => import('./types.js').Model[]} models
   */
  constructor(api, videos, urls, actions, models) {
    this.api = api;
    this.videos = videos;
    this.urls = urls;
    this.actions = actions;
    this.models = models;
    this.dialog = /** @type {HTMLDialogElement} */ (byId('player'));
    this.stage = byId('player-stage');
    this.loop = byId('player-loop');
    this.downloadButton = /** @type {HTMLButtonElement} */ (byId('player-download'));
    this.which = new Segments(/** @type {HTMLFieldSetElement} */ (byId('player-which')), 'which', (value) => this.#turnTo(Number(value)));
    this.loop.setAttribute('aria-pressed', String(recall(LOOP, false)));
    this.#listen();
  }

  /** @param {string} id */
  async open(id) {
    if (this.#id === id) return;
    this.#id = id;
    this.#index = 0;
    this.#shown = '';
    this.#clearStage();
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
      // The word of it comes late: another video may have been opened meanwhile.
      if (this.dialog.open) return;
      const id = this.#id;
      this.#id = null;
      this.#clearStage();
      if (id) this.actions.closed(id);
    });
    this.dialog.addEventListener('click', (event) => {
      if (event.target === this.dialog) this.close();
    });
    /** @type {[string, () => void][]} */
    const clicks = [
      ['player-close', () => this.close()],
      ['player-reuse', () => this.#act(this.actions.reuse)],
      ['player-extend', () => this.#act(this.actions.extend)],
      ['player-remove', () => this.#act((video) => this.actions.remove([video]))],
      ['player-download', () => void this.#download()],
      ['player-full', () => void this.#goFull()],
      ['player-link', () => this.#act(({ id }) => void copy(new URL(toVideo(id), location.href).href, words.linkCopied))],
      ['player-loop', () => this.#toggleLoop()],
      ['player-newer', () => this.#leaf(-1)],
      ['player-older', () => this.#leaf(1)],
    ];
    for (const [id, click] of clicks) byId(id).addEventListener('click', click);
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

  /** To the next of the library, before or behind. @param {-1|1} by */
  #leaf(by) {
    const shown = this.actions.shown();
    const next = shown[shown.findIndex(({ id }) => id === this.#id) + by];
    if (next) go(toVideo(next.id));
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

  // --- playing ---

  #clearStage() {
    // Taking the source away ends the download of what nobody watches.
    this.stage.querySelector('video')?.removeAttribute('src');
    this.stage.replaceChildren();
  }

  /** @param {Video} video */
  #play(video) {
    const [width, height] = video.size.split('x');
    const media = el('video', { controls: true, playsinline: true, preload: 'auto', width, height, 'aria-label': video.prompt });
    media.loop = this.#isLooping;
    this.#renewals = 0;
    media.addEventListener('timeupdate', () => {
      this.#renewals = 0;
    });
    media.addEventListener('error', () => void this.#renew(media, video.id));
    this.#clearStage();
    this.stage.append(media);
    void this.#load(media, video.id, 0, true, false);
  }

  /** The URL has ended, or the connection was cut: go on with a new one from the same place. @param {HTMLVideoElement} media @param {string} id */
  async #renew(media, id) {
    if (!media.isConnected || !media.hasAttribute('src')) return;
    this.#renewals += 1;
    if (this.#renewals > MAX_RENEWALS) {
      this.#showPlaybackProblem(media, id, '');
      return;
    }
    await this.#load(media, id, media.currentTime, !media.paused, true);
  }

  /**
   * @param {HTMLVideoElement} media
   * @param {string} id
   * @param {number} at_s
   * @param {boolean} playing
   * @param {boolean} fresh
   */
  async #load(media, id, at_s, playing, fresh) {
    const rate = media.playbackRate;
    let url;
    try {
      url = await this.urls.of(id, 'video', this.#index, fresh);
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
    const again = button(strings.app.tryAgain, () => {
      this.#renewals = 0;
      this.stage.replaceChildren(media);
      void this.#load(media, id, at_s, true, true);
    });
    this.stage.replaceChildren(problemNote({ message: words.failed, action: reason, requestId: '' }, again));
  }

  get #isLooping() {
    return this.loop.getAttribute('aria-pressed') === 'true';
  }

  #toggleLoop() {
    const looping = !this.#isLooping;
    this.loop.setAttribute('aria-pressed', String(looping));
    remember(LOOP, looping);
    const media = this.stage.querySelector('video');
    if (media) media.loop = looping;
  }

  async #goFull() {
    try {
      await this.stage.querySelector('video')?.requestFullscreen();
    } catch (error) {
      // Where the page may not, the player's own button can.
      if (!(error instanceof TypeError)) throw error;
    }
  }

  // --- describing ---

  /** @param {Video|null} video */
  #describe(video) {
    const done = video?.status === 'completed';
    const able = video !== null && done && this.models().some((model) => canExtend(model, video));
    for (const id of ['download', 'full', 'loop', 'link', 'extend']) byId(`player-${id}`).hidden = !done;
    byId('player-reuse').hidden = !video;
    byId('player-remove').hidden = !video || !isFinal(video);
    /** @type {HTMLButtonElement} */ (byId('player-extend')).disabled = !able;
    setText(byId('player-extend-reason'), done && !able ? words.cannotExtend : '');
    setText(byId('player-prompt'), video?.prompt ?? '');
    const files = video?.files ?? [];
    byId('player-which').hidden = files.length < 2;
    this.which.show(files.map(({ index }) => ({ value: String(index), label: String(index + 1) })), String(this.#index));
    byId('player-warnings').replaceChildren(
      ...(video?.warnings ?? []).map(({ message }) => el('div', { class: 'note' }, icon('info'), el('p', {}, message))),
    );
    byId('player-facts').replaceChildren(
      ...(video ? facts(video, this.#index) : []).map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))),
    );
    this.#showPlace();
  }

  #showPlace() {
    const shown = this.actions.shown();
    const at = shown.findIndex(({ id }) => id === this.#id);
    setText(byId('player-place'), at < 0 ? '' : words.place(at + 1, shown.length));
    /** @type {HTMLButtonElement} */ (byId('player-newer')).disabled = at <= 0;
    /** @type {HTMLButtonElement} */ (byId('player-older')).disabled = at < 0 || at === shown.length - 1;
  }

  async #download() {
    const video = this.#id && this.videos.get(this.#id);
    if (!video) return;
    const label = byId('player-download-text');
    const index = this.#index;
    this.downloadButton.disabled = true;
    setText(label, words.downloading);
    try {
      save(await this.api.file(await this.urls.of(video.id, 'video', index)), fileName(video.prompt, index));
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
    error?.reason && el('p', {}, el('b', {}, words.reason), ' ', error.reason),
    error?.suggested_action && el('p', {}, el('b', {}, words.suggestion), ' ', error.suggested_action),
    cost > 0 && el('p', { class: refunded ? 'refund' : 'refund refund-none' }, refunded ? card.refunded(number(refunded), refunded) : card.noRefund),
  );
}
