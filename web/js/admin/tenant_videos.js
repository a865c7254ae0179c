/** All videos of the tenant, by one of status, model and user. */

import { button, el, icon } from '../dom.js';
import { facts } from '../facts.js';
import { dateTime, duration, iso, modelName } from '../format.js';
import { Listing } from '../components/listing.js';
import { openSheet } from '../components/sheet.js';
import { strings } from '../strings.js';
import { adminStrings } from './strings.js';
import { toastProblem } from '../toast.js';
import { took_s } from './figures.js';

/** @typedef {import('../types.js').TenantVideo} TenantVideo */

const PAGE = 25;
const words = adminStrings.videos;

export class TenantVideos {
  /** @param {import('./admin.js').AdminContext} context */
  constructor({ api, videosOf }) {
    this.api = api;
    this.videosOf = videosOf;
    this.kind = el('select', { 'aria-label': strings.filters.kind });
    this.kind.addEventListener('change', () => void this.listing.load());
    this.listing = new Listing({
      label: adminStrings.sections.videos,
      columns: [[words.prompt, 'wide'], [words.status, 'short'], [words.model, 'short'], [words.made, 'quiet'], [words.took, 'figure'], ['', 'actions']],
      fetch: (after) => api.tenantVideos({ limit: PAGE, after, ...this.#filter }),
      cells: (video) => this.#cells(video),
      empty: words.empty,
      failed: words.failed,
    });
    this.element = el(
      'div',
      { class: 'stack' },
      el('p', { class: 'lead' }, words.lead),
      el('div', { class: 'find' }, el('div', { class: 'select select-small' }, this.kind)),
      this.listing.element,
    );
  }

  async load() {
    await this.#offer();
    await this.listing.load();
  }

  get #filter() {
    const [name, value] = this.kind.value.split(/:(.*)/s);
    return value ? { [name]: value } : {};
  }

  async #offer() {
    const { value } = this.kind;
    const user = this.videosOf();
    let models = /** @type {import('../types.js').Model[]} */ ([]);
    try {
      models = (await this.api.models()).data;
    } catch (error) {
      toastProblem(error);
    }
    const group = (/** @type {string} */ label, /** @type {[string, string][]} */ options) =>
      options.length > 0 && el('optgroup', { label }, ...options.map(([each, name]) => el('option', { value: each }, name)));
    const groups = [
      group(words.ofUser, user ? [[`user:${user.id}`, user.email ?? user.id]] : []),
      group(strings.filters.byStatus, Object.entries(strings.filters.statuses).map(([id, name]) => [`status:${id}`, name])),
      group(strings.filters.byModel, models.map(({ id }) => [`model:${id}`, modelName(id)])),
    ];
    this.kind.replaceChildren(el('option', { value: '' }, strings.filters.all), .../** @type {Node[]} */ (groups.filter(Boolean)));
    this.kind.value = user ? `user:${user.id}` : value;
    if (this.kind.selectedIndex < 0) this.kind.value = '';
  }

  /** @param {TenantVideo} video */
  #cells(video) {
    const { prompt, status, error, model, created_at, completed_at } = video;
    const watch = button(words.watch, () => void this.#open(video));
    watch.setAttribute('aria-label', `${words.watch}: ${prompt}`);
    return [
      el('div', {}, el('span', { class: 'cell-title cell-clamp' }, prompt), error && el('span', { class: 'cell-note' }, error.message)),
      el('span', { class: `state state-${status}` }, strings.filters.statuses[status]),
      modelName(model),
      el('time', { datetime: iso(created_at) }, dateTime(created_at)),
      completed_at === null ? strings.app.none : duration(took_s(video)),
      watch,
    ];
  }

  /** @param {TenantVideo} seen */
  async #open({ id }) {
    let video;
    let owner;
    try {
      video = await this.api.tenantVideo(id);
      owner = await this.api.getUser(video.user);
    } catch (error) {
      toastProblem(error);
      return;
    }
    const { urls, error, prompt, aspect_ratio } = video;
    const said = [[words.user, owner.email ?? owner.id], ...facts(video, 0)];
    openSheet(
      prompt,
      ...urls.map(({ url }) => el('video', { class: 'watched', src: url, controls: true, playsinline: true, preload: 'metadata', 'aria-label': prompt, 'data-ratio': aspect_ratio })),
      error && el('div', { class: 'note note-problem' }, icon('alert'), el('div', {}, el('p', { class: 'note-message' }, error.message), error.reason && el('p', {}, error.reason))),
      el('dl', { class: 'facts' }, ...said.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value)))),
    );
  }
}
