/** One video in the library, from its first second in line to its last day; the same size in every state. */

import { el, icon, iconButton, setText } from './dom.js';
import { ago, clock, duration, iso, modelName, number } from './format.js';
import { toVideo } from './router.js';
import { strings } from './strings.js';
import { isFinal } from './videos.js';

/**
 * @typedef {import('./types.js').Video} Video
 *
 * @typedef {object} CardActions
 * @property {(video: Video) => void} cancel
 * @property {(video: Video) => void} reuse
 * @property {(video: Video) => void} remove
 */

const words = strings.card;

export class Card {
  /**
   * @param {Video} video
   * @param {CardActions} actions
   * @param {import('./posters.js').Posters} posters
   */
  constructor(video, actions, posters) {
    this.video = video;
    this.actions = actions;
    this.posters = posters;
    this.frame = el('div', { class: 'card-frame' });
    this.age = el('time', { datetime: iso(video.created_at), class: 'card-age' });
    this.facts = el('span', { class: 'card-facts' }, `${modelName(video.model)} · ${duration(Number(video.seconds))} · ${video.resolution}`);
    this.buttons = el('div', { class: 'card-buttons' });
    this.outcome = el('p', { class: 'card-outcome' });
    this.element = el(
      'li',
      { class: 'card', 'data-id': video.id },
      this.frame,
      el('p', { class: 'card-prompt' }, video.prompt),
      this.outcome,
      el('div', { class: 'card-foot' }, el('p', { class: 'card-meta' }, this.facts, this.age), this.buttons),
    );
    /** What the frame shows at present. */
    this.shown = '';
    this.update(video);
  }

  /** @param {Video} video */
  update(video) {
    this.video = video;
    this.element.dataset.status = video.status;
    const shown = isFinal(video) ? video.status : 'unfinished';
    if (shown !== this.shown) {
      this.shown = shown;
      this.#drawFrame(shown);
      this.#drawButtons(shown);
    }
    if (shown === 'unfinished') this.#showProgress();
    setText(this.outcome, outcome(video));
  }

  /** Once a second. @param {number} now_s */
  tick(now_s) {
    setText(this.age, ago(this.video.created_at, now_s, strings.time.now));
    if (!this.times) return;
    const elapsed_s = now_s - this.video.created_at;
    const late = elapsed_s > this.video.expected_seconds * 1.25;
    setText(this.times, late ? words.late(clock(elapsed_s)) : words.times(clock(elapsed_s), duration(this.video.expected_seconds)));
  }

  /** @param {string} shown */
  #drawFrame(shown) {
    this.times = null;
    const draw = {
      unfinished: () => this.#unfinishedFrame(),
      completed: () => this.#completedFrame(),
      failed: () => this.#endedFrame('alert', words.failed),
      canceled: () => this.#endedFrame('stop', words.canceled),
    }[shown];
    if (draw) this.frame.replaceChildren(draw());
  }

  #unfinishedFrame() {
    this.stage = el('p', { class: 'progress-stage' });
    this.times = el('p', { class: 'progress-times' });
    this.percent = el('span', { class: 'progress-percent' });
    this.bar = el('div', {
      class: 'progress-bar',
      role: 'progressbar',
      'aria-label': words.progress,
      'aria-valuemin': 0,
      'aria-valuemax': 100,
    });
    return el(
      'div',
      { class: 'progress' },
      el('div', { class: 'progress-words' }, this.stage, this.percent),
      this.bar,
      el(
        'div',
        { class: 'progress-foot' },
        this.times,
        el('button', { type: 'button', class: 'button button-small', on: { click: () => this.actions.cancel(this.video) } }, words.cancel),
      ),
    );
  }

  #showProgress() {
    const { stage, progress } = this.video;
    if (!this.stage || !this.bar || !this.percent) return;
    setText(this.stage, words.stages[stage] ?? stage);
    setText(this.percent, `${progress} %`);
    this.bar.setAttribute('aria-valuenow', String(progress));
    this.bar.setAttribute('aria-valuetext', `${progress} %, ${words.stages[stage] ?? stage}`);
    this.bar.style.setProperty('--done', String(progress / 100));
  }

  #completedFrame() {
    const { id, prompt, aspect_ratio, seconds, files, size } = this.video;
    const [width, height] = size.split('x');
    const poster = el('img', { class: 'poster', alt: '', width, height, decoding: 'async' });
    // A portrait frame stands before a blurred copy of itself, so that every card has the same shape.
    const backdrop = aspect_ratio === '9:16' && el('img', { class: 'poster-backdrop', alt: '', decoding: 'async' });
    const link = el(
      'a',
      { class: 'card-open skeleton', href: toVideo(id), 'aria-label': words.play(prompt) },
      backdrop,
      poster,
      el('span', { class: 'card-play' }, icon('play')),
      el('span', { class: 'badge' }, files.length > 1 ? words.files(files.length) : clock(Number(seconds))),
    );
    const images = backdrop ? [poster, backdrop] : [poster];
    this.posters.show(link, images, id, () => link.classList.add('no-poster'));
    Promise.all(images.map((image) => new Promise((loaded) => image.addEventListener('load', loaded, { once: true })))).then(() => {
      link.classList.remove('skeleton');
      link.classList.add('has-poster');
    });
    return link;
  }

  /** @param {string} drawing @param {string} title */
  #endedFrame(drawing, title) {
    const { id, prompt, cost, refunded, error } = this.video;
    return el(
      'a',
      { class: 'card-open card-ended', href: toVideo(id), 'aria-label': words.details(prompt) },
      icon(drawing),
      el('span', { class: 'ended-title' }, error?.message ?? title),
      el(
        'span',
        { class: refunded ? 'refund' : 'refund refund-none' },
        refunded ? words.refunded(number(refunded), refunded) : cost ? words.noRefund : '',
      ),
    );
  }

  /** @param {string} shown */
  #drawButtons(shown) {
    this.buttons.replaceChildren(
      iconButton('reuse', words.reuse, () => this.actions.reuse(this.video)),
      ...(shown === 'unfinished' ? [] : [iconButton('trash', words.remove, () => this.actions.remove(this.video))]),
    );
  }
}

/** What to do about a failure, or what came back of a video that is only partly there. @param {Video} video */
function outcome(video) {
  if (video.error) return video.error.suggested_action;
  if (video.status === 'completed' && video.refunded) return words.refunded(number(video.refunded), video.refunded);
  return '';
}
