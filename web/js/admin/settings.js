/** The live settings of the installation; what the service does not accept is said at its field. */

import { ApiError } from '../client.js';
import { button, el, setText } from '../dom.js';
import { explain, problemNote } from '../problems.js';
import { strings } from '../strings.js';
import { adminStrings } from './strings.js';
import { toast } from '../toast.js';
import { Setting } from './setting.js';

/** @typedef {import('./setting.js').Kind} Kind */

/** Whose administrators run the installation. */
const OWN_TENANT = 'default';
const words = adminStrings.settings;

/** @type {Record<keyof words['groups'], Record<string, Kind>>} */
const GROUPS = {
  generation: {
    enabled: { type: 'switch' },
    message: { type: 'text' },
    rollout_percent: { type: 'number' },
    allow_replacements: { type: 'switch' },
    default_models: { type: 'map', columns: [['tenant', 'text'], ['model', 'text']] },
    providers: { type: 'map', columns: [['model', 'text'], ['provider', 'text']] },
  },
  prices: {
    credits_per_second: { type: 'number' },
    extension_credits_per_second: { type: 'number' },
    signup_credits: { type: 'number' },
    credits_per_second_by_model: { type: 'map', columns: [['model', 'text'], ['credits', 'number']] },
  },
  limits: {
    active_jobs_limit: { type: 'number' },
    requests_per_minute: { type: 'number' },
    daily_credits: { type: 'number' },
    tenant_daily_credits: { type: 'map', columns: [['tenant', 'text'], ['credits', 'number']] },
    plans: {
      type: 'map',
      columns: [['plan', 'text'], ['requests_per_minute', 'number'], ['active_jobs_limit', 'number'], ['daily_credits', 'number'], ['may_wait', 'switch']],
    },
  },
  time: {
    generation_timeout_s: { type: 'number' },
    storing_timeout_s: { type: 'number' },
    queue_timeout_s: { type: 'number' },
  },
  policy: {
    uncertain_policy: { type: 'choice', choices: ['at_most_once', 'restart_once'] },
    cancel_refund: { type: 'choice', choices: ['by_model', 'full', 'none'] },
    refunded_starts_per_day: { type: 'number' },
    polling: { type: 'choice', choices: ['often', 'rarely'] },
    retention_days: { type: 'number' },
  },
};

export class Settings {
  /** @type {Setting[]} */
  #settings = [];
  #etag = '';

  /** @param {import('./admin.js').AdminContext} context */
  constructor({ api, balance }) {
    this.api = api;
    this.mayWrite = balance.account?.tenant === OWN_TENANT;
    this.groups = el('div', { class: 'stack' });
    this.problem = el('div', { role: 'alert' });
    this.state = el('p', { class: 'quiet', role: 'status' });
    this.save = el('button', { type: 'submit', class: 'button button-primary' }, words.save);
    this.form = el(
      'form',
      { class: 'stack', 'aria-label': adminStrings.sections.settings, novalidate: true },
      this.groups,
      this.problem,
      el('div', { class: 'settings-foot' }, this.save, button(words.reset, () => void this.load(), 'button-link'), this.state),
    );
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#put();
    });
    this.form.addEventListener('input', () => setText(this.state, words.unsaved));
    this.element = el('div', { class: 'stack' }, el('p', { class: 'lead' }, this.mayWrite ? words.lead : words.readOnly), this.form);
  }

  async load() {
    try {
      this.#show(await this.api.config());
    } catch (error) {
      const problem = explain(error);
      const again = button(strings.app.tryAgain, () => void this.load());
      this.problem.replaceChildren(problemNote({ ...problem, message: `${words.failed} ${problem.message}` }, again));
    }
  }

  /** @param {import('../types.js').Config} config */
  #show({ stored, defaults, values, etag }) {
    this.#settings = [];
    this.#etag = etag;
    const groups = Object.entries(GROUPS).map(([group, settings]) => {
      const made = Object.entries(settings).map(([name, kind]) => new Setting(name, kind, stored[name], defaults[name]));
      this.#settings.push(...made);
      return el(
        'fieldset',
        { class: 'panel settings-group', disabled: !this.mayWrite },
        el('legend', { class: 'hidden-text' }, words.groups[/** @type {'time'} */ (group)]),
        el('h3', { 'aria-hidden': true }, words.groups[/** @type {'time'} */ (group)]),
        el('div', { class: 'settings-fields' }, ...made.map(({ element }) => element)),
      );
    });
    this.groups.replaceChildren(...groups, expectedTimes(values.expected_times ?? {}));
    this.problem.replaceChildren();
    this.save.hidden = !this.mayWrite;
    setText(this.state, '');
  }

  async #put() {
    if (this.save.disabled) return;
    for (const setting of this.#settings) setting.setFault('');
    this.problem.replaceChildren();
    this.save.disabled = true;
    const given = this.#settings.map(({ name, value }) => [name, value]).filter(([, value]) => value !== undefined);
    try {
      this.#show(await this.api.putConfig(Object.fromEntries(given), this.#etag));
      toast(words.saved, 'done');
    } catch (error) {
      this.#tell(error);
    } finally {
      this.save.disabled = false;
    }
  }

  /** @param {unknown} error */
  #tell(error) {
    const problem = explain(error);
    const fields = error instanceof ApiError ? error.fields : [];
    const wrong = fields.flatMap(({ field, message }) => {
      const setting = this.#settings.find(({ name }) => name === field.split('.')[0]);
      setting?.setFault(message);
      return setting ?? [];
    });
    if (wrong.length) setText(this.state, words.notSaved);
    if (error instanceof ApiError && error.code === 'PRECONDITION_FAILED') problem.action = words.stale;
    if (wrong.length < Math.max(1, fields.length)) this.problem.replaceChildren(problemNote(problem));
    wrong[0]?.focus();
  }
}

/** @param {Record<string, number>} times */
function expectedTimes(times) {
  const learned = Object.entries(times);
  if (!learned.length) return '';
  return el(
    'section',
    { class: 'panel' },
    el('h3', {}, words.expectedTimes),
    el('dl', { class: 'facts' }, ...learned.map(([model, seconds]) => el('div', {}, el('dt', {}, model), el('dd', {}, String(Math.round(seconds * 10) / 10))))),
  );
}
