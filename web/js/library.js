/** The grid of videos: those in the making and those that have ended, newest first, more on scrolling. */

import { Card } from './card.js';
import { byId, el, icon, setText } from './dom.js';
import { explain, problemNote } from './problems.js';
import { strings } from './strings.js';
import { isFinal, newestFirst } from './videos.js';

/** @typedef {import('./types.js').Video} Video */

const PAGE = 24;
const SKELETONS = 6;
const TICK_MS = 1000;
const words = strings.library;

export class Library {
  /** @type {Map<string, Card>} */
  #cards = new Map();
  /** @type {string|null} */
  #cursor = null;
  #loading = false;

  /**
   * @param {import('./api.js').Api} api
   * @param {import('./videos.js').Videos} videos
   * @param {import('./posters.js').Posters} posters
   * @param {import('./card.js').CardActions} actions
   */
  constructor(api, videos, posters, actions) {
    this.api = api;
    this.videos = videos;
    this.posters = posters;
    this.actions = actions;
    this.grid = byId('grid');
    this.more = /** @type {HTMLButtonElement} */ (byId('more'));
    this.problem = byId('library-problem');
    videos.addEventListener('change', (event) => this.#show(/** @type {CustomEvent} */ (event).detail.video));
    videos.addEventListener('remove', (event) => this.#hide(/** @type {CustomEvent} */ (event).detail.id));
    this.more.addEventListener('click', () => this.loadMore());
    new IntersectionObserver((entries) => {
      if (entries.some(({ isIntersecting }) => isIntersecting) && !this.more.hidden) this.loadMore();
    }, { rootMargin: '600px' }).observe(this.more);
    setInterval(() => this.#tick(), TICK_MS);
    this.#drawStarters();
  }

  /** The first page, and every unfinished video however old it is. */
  async load() {
    this.grid.replaceChildren(...Array.from({ length: SKELETONS }, skeletonCard));
    this.grid.setAttribute('aria-busy', 'true');
    this.problem.replaceChildren();
    try {
      const [page, ...unfinished] = await Promise.all([
        this.api.listVideos({ limit: PAGE }),
        this.api.listVideos({ limit: PAGE, status: 'queued' }),
        this.api.listVideos({ limit: PAGE, status: 'in_progress' }),
      ]);
      this.#dropSkeletons();
      for (const { data } of [...unfinished, page]) data.forEach((video) => this.videos.put(video));
      this.#turnTo(page);
    } catch (error) {
      this.#dropSkeletons();
      this.#showProblem(error, () => this.load());
    }
  }

  async loadMore() {
    if (this.#loading || !this.#cursor) return;
    this.#loading = true;
    this.more.disabled = true;
    this.problem.replaceChildren();
    try {
      const page = await this.api.listVideos({ limit: PAGE, after: this.#cursor });
      page.data.forEach((video) => this.videos.put(video));
      this.#turnTo(page);
    } catch (error) {
      this.more.hidden = true;
      this.#showProblem(error, () => this.loadMore());
    } finally {
      this.#loading = false;
      this.more.disabled = false;
    }
  }

  /** Bring a card into view. @param {string} id */
  reveal(id) {
    this.#cards.get(id)?.element.scrollIntoView({ block: 'nearest' });
  }

  /** @param {import('./types.js').Page<Video>} page */
  #turnTo(page) {
    this.#cursor = page.has_more ? page.last_id : null;
    this.more.hidden = !this.#cursor;
    this.#showEmptiness();
  }

  #dropSkeletons() {
    this.grid.querySelectorAll('.card-skeleton').forEach((card) => card.remove());
    this.grid.setAttribute('aria-busy', 'false');
  }

  /** @param {unknown} error @param {() => void} retry */
  #showProblem(error, retry) {
    const problem = explain(error);
    const again = el('button', { type: 'button', class: 'button button-small', on: { click: retry } }, strings.app.tryAgain);
    this.problem.replaceChildren(problemNote({ ...problem, message: `${words.failed} ${problem.message}` }, again));
  }

  /** @param {Video} video */
  #show(video) {
    const known = this.#cards.get(video.id);
    if (known) {
      known.update(video);
    } else {
      const card = new Card(video, this.actions, this.posters);
      this.#cards.set(video.id, card);
      const next = [...this.#cards.values()]
        .filter((other) => other !== card && newestFirst(video, other.video) < 0)
        .sort((a, b) => newestFirst(a.video, b.video))[0];
      this.grid.insertBefore(card.element, next?.element ?? null);
    }
    this.#cards.get(video.id)?.tick(this.api.now_s);
    this.#showCount();
    this.#showEmptiness();
  }

  /** @param {string} id */
  #hide(id) {
    this.#cards.get(id)?.element.remove();
    this.#cards.delete(id);
    this.#showCount();
    this.#showEmptiness();
  }

  #showCount() {
    const { length } = this.videos.unfinished;
    setText(byId('under-way'), words.underWay(length));
    document.title = strings.app.title(length);
  }

  #showEmptiness() {
    const empty = this.#cards.size === 0 && this.grid.getAttribute('aria-busy') !== 'true' && !this.problem.hasChildNodes();
    byId('empty').hidden = !empty;
  }

  #tick() {
    if (document.hidden) return;
    for (const card of this.#cards.values()) {
      if (!isFinal(card.video) || Math.floor(this.api.now_s) % 30 === 0) card.tick(this.api.now_s);
    }
  }

  #drawStarters() {
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
