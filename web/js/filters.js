/**
 * Which videos are shown: by one of status, model and project and by date, as the service filters, and by text among
 * those that are loaded. Event: "change".
 */

import { byId, el } from './dom.js';
import { dayKey, modelName } from './format.js';
import { strings } from './strings.js';

/** @typedef {import('./types.js').Video} Video */

const DAY_s = 86_400;
const words = strings.filters;

export class Filters extends EventTarget {
  constructor() {
    super();
    this.text = /** @type {HTMLInputElement} */ (byId('filter-text'));
    this.kind = /** @type {HTMLSelectElement} */ (byId('filter-kind'));
    this.when = /** @type {HTMLSelectElement} */ (byId('filter-when'));
    this.from = /** @type {HTMLInputElement} */ (byId('filter-from'));
    this.to = /** @type {HTMLInputElement} */ (byId('filter-to'));
    this.when.replaceChildren(...Object.entries(words.whens).map(([value, name]) => el('option', { value }, name)));
    this.offer([], []);
    this.text.addEventListener('input', () => this.#changed());
    for (const field of [this.kind, this.when, this.from, this.to]) field.addEventListener('change', () => this.#changed());
    byId('filters-clear').addEventListener('click', () => {
      this.clear();
      this.text.focus();
    });
  }

  /** @param {string[]} models ids @param {import('./types.js').Project[]} projects */
  offer(models, projects) {
    const { value } = this.kind;
    const group = (/** @type {string} */ label, /** @type {[string, string][]} */ options) =>
      options.length > 0 && el('optgroup', { label }, ...options.map(([id, name]) => el('option', { value: id }, name)));
    const groups = [
      group(words.byStatus, Object.entries(words.statuses).map(([id, name]) => [`status:${id}`, name])),
      group(words.byModel, models.map((id) => [`model:${id}`, modelName(id)])),
      group(words.byProject, projects.map(({ id, title }) => [`project:${id}`, title])),
    ];
    this.kind.replaceChildren(el('option', { value: '' }, words.all), .../** @type {Node[]} */ (groups.filter(Boolean)));
    this.kind.value = value;
    if (this.kind.selectedIndex < 0) this.kind.value = '';
  }

  clear() {
    this.text.value = this.kind.value = this.from.value = this.to.value = '';
    this.when.value = 'ever';
    this.#changed();
  }

  /** Whether the service is asked for less than all. */
  get isNarrow() {
    return Object.keys(this.query).length > 0;
  }

  /** What is searched for, in lower case. */
  get words() {
    return this.text.value.trim().toLowerCase();
  }

  /** What the service filters by. @returns {Record<string, string|number>} */
  get query() {
    const [name, value] = this.kind.value.split(/:(.*)/s);
    const { after, before } = this.#span();
    return {
      ...(value && { [name]: value }),
      ...(after !== null && { created_after: after }),
      ...(before !== null && { created_before: before }),
    };
  }

  /** Whether a video that is loaded is one of those. @param {Video} video */
  shows(video) {
    const [name, value] = this.kind.value.split(/:(.*)/s);
    const { after, before } = this.#span();
    return (
      (!value || video[/** @type {'status'|'model'|'project'} */ (name)] === value) &&
      (after === null || video.created_at >= after) &&
      (before === null || video.created_at <= before) &&
      video.prompt.toLowerCase().includes(this.words)
    );
  }

  /** Unix seconds, both included; days begin and end where the reader is. @returns {{after: number|null, before: number|null}} */
  #span() {
    const startOf = (/** @type {string} */ day) => Math.floor(new Date(`${day}T00:00`).getTime() / 1000);
    const now = Date.now() / 1000;
    const since = (/** @type {number} */ days) => startOf(dayKey(now - days * DAY_s));
    switch (this.when.value) {
      case 'today':
        return { after: since(0), before: null };
      case 'week':
        return { after: since(6), before: null };
      case 'month':
        return { after: since(29), before: null };
      case 'days':
        return {
          after: this.from.value ? startOf(this.from.value) : null,
          before: this.to.value ? startOf(this.to.value) + DAY_s - 1 : null,
        };
      default:
        return { after: null, before: null };
    }
  }

  #changed() {
    byId('filter-days').hidden = this.when.value !== 'days';
    this.dispatchEvent(new Event('change'));
  }
}
