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
 * @property {(video: Video) => void} extend
 * @property {(videos: Video[]) => void} remove
 * @property {(id: string, chosen: boolean) => void} choose
 *
 * @typedef {object} CardPictures
 * @property {import('./posters.js').Posters} posters
 * @property {import('./preview.js').Preview} preview
 */

/** So much longer than expected is worth a word. */
const LATE = 1.25;
const words = strings.card;

export class Card {
  /** What the frame shows at present. */
  #shown = '';

  /**
   * @param {Video} video
   * @param {CardActions} actions
   * @param {CardPictures} pictures
   */
  constructor(video, actions, pictures) {
    this.video = video;
    this.actions = actions;
    this.pictures = pictures;
    this.frame = el('div', { class: 'card-frame' });
    this.age = el('time', { datetime: iso(video.created_at), class: 'card-age' });
    this.facts = el('span', { class: 'card-facts' });
    this.buttons = el('div', { class: 'card-buttons' });
    this.check = el('input', { type: 'checkbox', class: 'check', 'aria-label': words.choose(video.prompt) });
    this.check.addEventListener('change', () => actions.choose(video.id, this.check.checked));
    this.element = el(
      'li',
      { class: 'card', 'data-id': video.id },
      this.frame,
      el('p', { class: 'card-prompt' }, video.prompt),
      el('div', { class: 'card-foot' }, el('p', { class: 'card-meta' }, this.facts, this.age), this.buttons),
    );
    this.update(video);
  }

  /** @param {Video} video */
  update(video) {
    this.video = video;
    this.element.dataset.status = video.status;
    const shown = isFinal(video) ? video.status : 'unfinished';
    if (shown !== this.#shown) {
      this.#shown = shown;
      this.#drawFrame(shown);
      this.#drawButtons(shown);
    }
    if (shown === 'unfinished') this.#showProgress();
    setText(this.facts, facts(video));
  }

  /** @param {boolean} chosen */
  markChosen(chosen) {
    this.check.checked = chosen;
    this.element.classList.toggle('chosen', chosen);
  }

  /** Once a second. @param {number} now_s */
  tick(now_s) {
    setText(this.age, ago(this.video.created_at, now_s, strings.time.now));
    if (!this.times) return;
    const elapsed_s = now_s - this.video.created_at;
    const late = elapsed_s > this.video.expected_seconds * LATE;
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
    if (!draw) return;
    const hadFocus = this.frame.contains(document.activeElement);
    const choose = shown !== 'unfinished' && el('label', { class: 'card-choose' }, this.check);
    this.frame.replaceChildren(draw(), ...(choose ? [choose] : []));
    // Whoever was on the cancel button goes on where the button was.
    if (hadFocus) this.frame.querySelector('a')?.focus();
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
    const cancel = el(
      'button',
      { type: 'button', class: 'button button-small', 'aria-label': words.cancelThis(this.video.prompt), on: { click: () => this.actions.cancel(this.video) } },
      words.cancel,
    );
    return el(
      'div',
      { class: 'progress' },
      el('div', { class: 'progress-words' }, this.stage, this.percent),
      this.bar,
      el('div', { class: 'progress-foot' }, this.times, cancel),
    );
  }

  #showProgress() {
    const { stage, progress } = this.video;
    if (!this.stage || !this.bar || !this.percent) return;
    const said = words.stages[stage] ?? stage;
    setText(this.stage, said);
    setText(this.percent, `${progress} %`);
    this.bar.setAttribute('aria-valuenow', String(progress));
    this.bar.setAttribute('aria-valuetext', `${progress} %, ${said}`);
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
    this.pictures.posters.show(link, images, id, () => link.classList.add('no-poster'));
    Promise.all(images.map((image) => new Promise((loaded) => image.addEventListener('load', loaded, { once: true })))).then(() => {
      link.classList.remove('skeleton');
      link.classList.add('has-poster');
    });
    this.pictures.preview.attach(link, id);
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
      error && el('span', { class: 'ended-action' }, error.suggested_action),
      el(
        'span',
        { class: refunded ? 'refund' : 'refund refund-none' },
        refunded ? words.refunded(number(refunded), refunded) : cost ? words.noRefund : '',
      ),
    );
  }

  /** @param {string} shown */
  #drawButtons(shown) {
    const { video } = this;
    const { reuse, extend, remove } = this.actions;
    this.buttons.replaceChildren(
      iconButton('reuse', words.reuse, () => reuse(this.video)),
      ...(shown === 'completed' ? [iconButton('extend', words.extend, () => extend(this.video))] : []),
      ...(shown === 'unfinished' ? [] : [iconButton('trash', words.remove, () => remove([this.video]))]),
    );
    for (const button of this.buttons.children) {
      button.setAttribute('aria-label', `${button.getAttribute('aria-label')}: ${video.prompt}`);
    }
  }
}

/** @param {Video} video */
function facts({ status, model, seconds, resolution, refunded }) {
  const said = `${modelName(model)} · ${duration(Number(seconds))} · ${resolution}`;
  // Of several videos some may be missing.
  return status === 'completed' && refunded ? `${said} · ${words.refunded(number(refunded), refunded)}` : said;
}
