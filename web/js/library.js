/**
 * The grid of videos: those in the making and those that have ended, newest first, more on scrolling. A video stays where
 * it is when it ends, so that nothing moves under the pointer.
 */

import { Card } from './card.js';
import { byId, button, el, icon, setText } from './dom.js';
import { number } from './format.js';
import { explain, problemNote } from './problems.js';
import { Selection } from './selection.js';
import { strings } from './strings.js';
import { isFinal, newestFirst } from './videos.js';

/** @typedef {import('./types.js').Video} Video */

const PAGE = 24;
const SKELETONS = 6;
const TICK_MS = 1000;
const words = strings.library;

export class Library {
  /** The cards in the grid. @type {Map<string, Card>} */
  #cards = new Map();
  /** Null: there is nothing more to load. @type {string|null} */
  #cursor = null;
  /** Each time another list is asked for; answers of an older one are not wanted any more. */
  #generation = 0;
  #loading = false;
  #loaded = false;
  #settling = false;
  /** The filters that the service was asked with. */
  #asked = '{}';

  /**
   * @param {import('./api.js').Api} api
   * @param {import('./videos.js').Videos} videos
   * @param {import('./filters.js').Filters} filters
   * @param {import('./card.js').CardPictures} pictures
   * @param {Omit<import('./card.js').CardActions, 'choose'>} actions
   */
  constructor(api, videos, filters, pictures, actions) {
    this.api = api;
    this.videos = videos;
    this.filters = filters;
    this.pictures = pictures;
    this.actions = { ...actions, choose: (/** @type {string} */ id, /** @type {boolean} */ chosen) => this.selection.set(id, chosen) };
    this.grid = byId('grid');
    this.more = /** @type {HTMLButtonElement} */ (byId('more'));
    this.problem = byId('library-problem');
    this.selection = new Selection(() => this.#removable, actions.remove, () => this.#markChosen());
    videos.addEventListener('change', (event) => this.#show(/** @type {CustomEvent} */ (event).detail.video));
    videos.addEventListener('remove', (event) => this.#hide(/** @type {CustomEvent} */ (event).detail.id));
    filters.addEventListener('change', () => this.#filter());
    this.more.addEventListener('click', () => void this.loadMore());
    new IntersectionObserver((entries) => {
      if (entries.some(({ isIntersecting }) => isIntersecting) && !this.more.hidden) void this.loadMore();
    }, { rootMargin: '600px' }).observe(this.more);
    setInterval(() => this.#tick(), TICK_MS);
    this.#drawBeginning();
    this.#drawSkeletons();
  }

  /** The first page, and every unfinished video however old it is. */
  async load() {
    this.#drawSkeletons();
    const { query } = this.filters;
    await this.#ask(() => this.load(), async () => {
      const [page, ...unfinished] = await Promise.all([
        this.api.listVideos({ limit: PAGE, ...query }),
        this.api.listVideos({ limit: PAGE, status: 'queued' }),
        this.api.listVideos({ limit: PAGE, status: 'in_progress' }),
      ]);
      return [page, ...unfinished.map(({ data }) => ({ data, has_more: false, last_id: null }))];
    });
  }

  async loadMore() {
    const after = this.#cursor;
    if (this.#loading || !after) return;
    await this.#ask(() => this.loadMore(), async () => [await this.api.listVideos({ limit: PAGE, after, ...this.filters.query })]);
  }

  /** The service is back: try again what failed. */
  async recover() {
    if (this.problem.hasChildNodes()) await this.load();
  }

  /** Those that are shown, in their order. */
  get shown() {
    return [...this.#cards.values()].map(({ video }) => video).sort(newestFirst);
  }

  /** Bring a card into view. @param {string} id */
  reveal(id) {
    this.#cards.get(id)?.element.scrollIntoView({ block: 'nearest' });
  }

  /** The first of the pages says how to go on. @param {() => Promise<void>} again @param {() => Promise<import('./types.js').Page<Video>[]>} ask */
  async #ask(again, ask) {
    const generation = this.#generation;
    this.#loading = true;
    this.more.disabled = true;
    this.problem.replaceChildren();
    try {
      const pages = await ask();
      if (generation !== this.#generation) return;
      this.#dropSkeletons();
      for (const { data } of pages) data.forEach((video) => this.videos.put(video));
      this.#cursor = pages[0].has_more ? pages[0].last_id : null;
      this.#loaded = true;
    } catch (error) {
      if (generation !== this.#generation) return;
      this.#dropSkeletons();
      this.#cursor = null;
      const problem = explain(error);
      this.problem.replaceChildren(
        problemNote({ ...problem, message: `${words.failed} ${problem.message}` }, button(strings.app.tryAgain, () => void again())),
      );
    } finally {
      if (generation === this.#generation) {
        this.#loading = false;
        this.more.disabled = false;
        this.more.hidden = !this.#cursor;
        this.#settle();
      }
    }
  }

  /** Others are wanted: those that are known at once, the rest from the service. */
  #filter() {
    const { query } = this.filters;
    const wanted = JSON.stringify(query);
    for (const video of this.videos.all) this.#show(video);
    if (wanted !== this.#asked) {
      this.#asked = wanted;
      this.#generation += 1;
      this.#loaded = false;
      this.#cursor = null;
      void this.load();
    }
    this.#settle();
  }

  /** @param {Video} video */
  #show(video) {
    if (!this.filters.shows(video)) {
      this.#drop(video.id);
    } else if (this.#cards.has(video.id)) {
      this.#cards.get(video.id)?.update(video);
    } else {
      this.#insert(new Card(video, this.actions, this.pictures));
    }
    this.#cards.get(video.id)?.tick(this.api.now_s);
    this.#settle();
  }

  /** @param {Card} card */
  #insert(card) {
    const { video } = card;
    this.#cards.set(video.id, card);
    const next = this.shown.find((other) => other.id !== video.id && newestFirst(video, other) < 0);
    this.grid.insertBefore(card.element, (next && this.#cards.get(next.id)?.element) ?? null);
  }

  /** @param {string} id */
  #hide(id) {
    this.#drop(id);
    this.#settle();
  }

  /** @param {string} id */
  #drop(id) {
    this.#cards.get(id)?.element.remove();
    this.#cards.delete(id);
  }

  /** Videos come in crowds: what depends on all of them is drawn once for the crowd. */
  #settle() {
    if (this.#settling) return;
    this.#settling = true;
    queueMicrotask(() => {
      this.#settling = false;
      this.selection.refresh();
      this.#showEmptiness();
    });
  }

  #showEmptiness() {
    const isSettled = this.#loaded && !this.problem.hasChildNodes();
    const isNarrow = this.filters.isNarrow || this.filters.words !== '';
    const isEmpty = isSettled && this.#cards.size === 0;
    const isNew = isEmpty && !isNarrow;
    byId('empty').hidden = !isNew;
    byId('filters').hidden = isNew;
    byId('nothing').hidden = !isEmpty || !isNarrow;
    const { words: text, text: field } = this.filters;
    setText(
      byId('nothing-text'),
      text ? strings.filters.noHit(field.value.trim(), number(this.videos.all.length)) : strings.filters.nothing,
    );
  }

  get #removable() {
    return this.shown.filter(isFinal);
  }

  #markChosen() {
    for (const [id, card] of this.#cards) card.markChosen(this.selection.has(id));
  }

  #tick() {
    if (document.hidden) return;
    const isHalfMinute = Math.floor(this.api.now_s) % 30 === 0;
    for (const card of this.#cards.values()) if (isHalfMinute || !isFinal(card.video)) card.tick(this.api.now_s);
  }

  #drawSkeletons() {
    this.#dropSkeletons();
    this.grid.setAttribute('aria-busy', 'true');
    if (this.#cards.size === 0) this.grid.append(...Array.from({ length: SKELETONS }, skeletonCard));
  }

  #dropSkeletons() {
    this.grid.querySelectorAll('.card-skeleton').forEach((card) => card.remove());
    this.grid.setAttribute('aria-busy', 'false');
  }

  #drawBeginning() {
    byId('first-steps').replaceChildren(...words.steps.map((step) => el('li', {}, el('span', {}, step))));
    byId('starters').replaceChildren(
      ...words.starters.map(({ title, prompt }) =>
        el(
          'li',
          {},
          el(
            'button',
            { type: 'button', class: 'starter', on: { click: () => this.actions.reuse(/** @type {Video} */ ({ prompt })) } },
            el('span', { class: 'starter-title' }, title),
            el('span', { class: 'starter-prompt' }, prompt),
            el('span', { class: 'starter-use' }, words.use, icon('arrow')),
          ),
        ),
      ),
    );
  }
}

const skeletonCard = () =>
  el(
    'li',
    { class: 'card card-skeleton', 'aria-hidden': 'true' },
    el('div', { class: 'card-frame' }, el('div', { class: 'skeleton skeleton-frame' })),
    el('div', { class: 'skeleton skeleton-line' }),
    el('div', { class: 'skeleton skeleton-line skeleton-short' }),
  );
