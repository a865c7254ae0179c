/** Webhook endpoints: who is told when a video has ended, and what was sent to them. */

import { confirmed } from '../confirm.js';
import { button, el } from '../dom.js';
import { dateTime } from '../format.js';
import { Form } from '../components/form.js';
import { secretNote } from '../components/secret.js';
import { explain, problemNote } from '../problems.js';
import { strings } from '../strings.js';
import { toast, toastProblem } from '../toast.js';
import { Deliveries } from './deliveries.js';

/** @typedef {import('../types.js').WebhookEndpoint} WebhookEndpoint */

const words = strings.webhooks;

export class Webhooks {
  /** @param {import('./account.js').AccountContext} context */
  constructor({ api }) {
    this.api = api;
    this.list = el('ul', { class: 'stack', 'aria-label': strings.account.sections.webhooks });
    this.empty = el('p', { class: 'lead', hidden: true }, words.empty);
    this.problem = el('div', { role: 'alert' });
    this.form = new Form(
      words.add,
      [
        { name: 'url', label: words.url, type: 'url', placeholder: words.urlPlaceholder },
        { name: 'description', label: words.description, placeholder: words.descriptionPlaceholder, optional: true, maxlength: 200 },
        { name: 'events', label: words.events, type: 'checks', options: Object.entries(words.eventNames) },
      ],
      words.add,
      (values) => this.#add(values),
    );
    this.element = el(
      'div',
      { class: 'stack' },
      el('p', { class: 'lead' }, words.lead),
      el('div', { class: 'panel' }, this.form.element),
      this.problem,
      this.empty,
      this.list,
      this.#accountSecret(),
    );
  }

  async load() {
    try {
      const { data } = await this.api.webhookEndpoints();
      this.problem.replaceChildren();
      this.list.replaceChildren(...data.map((endpoint) => new Endpoint(this.api, endpoint, () => this.#settle()).element));
      this.#settle();
    } catch (error) {
      const problem = explain(error);
      const again = button(strings.app.tryAgain, () => void this.load());
      this.problem.replaceChildren(problemNote({ ...problem, message: `${words.failed} ${problem.message}` }, again));
    }
  }

  /** @param {Record<string, any>} values */
  async #add({ url = '', description, events }) {
    if (events.length === 0) {
      this.form.setFault('events', words.needsEvent);
      return;
    }
    const made = await this.api.createWebhookEndpoint({ url, events, ...(description && { description }) });
    this.form.reset();
    const endpoint = new Endpoint(this.api, made, () => this.#settle());
    this.list.prepend(endpoint.element);
    endpoint.showSecret(made.secret);
    this.#settle();
  }

  #settle() {
    this.empty.hidden = this.list.hasChildNodes();
  }

  #accountSecret() {
    const shown = el('div', {});
    const show = async (/** @type {boolean} */ fresh) => {
      try {
        const { secret, previous_expires_at } = await this.api.webhookSecret(fresh);
        const said = previous_expires_at ? words.previousUntil(dateTime(previous_expires_at)) : words.accountSecret;
        shown.replaceChildren(secretNote(said, secret, words.done));
      } catch (error) {
        toastProblem(error);
      }
    };
    return el(
      'section',
      { class: 'panel stack' },
      el('h3', {}, words.accountSecret),
      el('p', { class: 'lead' }, words.accountSecretLead),
      el('div', { class: 'buttons' }, button(words.show, () => void show(false)), button(words.rotate, () => void renew(() => show(true)))),
      shown,
    );
  }
}

/** One endpoint of the list. */
class Endpoint {
  /** @param {import('../api.js').Api} api @param {WebhookEndpoint} endpoint @param {() => void} changed */
  constructor(api, endpoint, changed) {
    this.api = api;
    this.changed = changed;
    this.id = endpoint.id;
    this.element = el('li', { class: 'panel stack' });
    this.secret = el('div', {});
    this.deliveries = new Deliveries(api, endpoint.id);
    this.#draw(endpoint);
  }

  /** @param {string} secret */
  showSecret(secret) {
    this.secret.replaceChildren(secretNote(words.secret, secret, words.done));
    this.secret.querySelector('button')?.focus();
  }

  /** @param {WebhookEndpoint} endpoint */
  #draw(endpoint) {
    const { url, events, description, disabled } = endpoint;
    const enabled = el('input', { type: 'checkbox', role: 'switch', class: 'switch', checked: !disabled });
    enabled.addEventListener('change', () => void this.#attempt(async () => this.#draw(await this.api.updateWebhookEndpoint(this.id, { disabled: !enabled.checked }))));
    this.element.replaceChildren(
      el(
        'div',
        { class: 'endpoint-head' },
        el(
          'div',
          {},
          el('h3', { class: 'endpoint-url' }, url),
          description && el('p', {}, description),
          el('p', { class: 'lead' }, (events.includes('*') ? Object.keys(words.eventNames) : events).map((event) => words.eventNames[/** @type {'video.failed'} */ (event)] ?? event).join(', ')),
        ),
        el('label', { class: 'check-field' }, enabled, state(endpoint)),
      ),
      el(
        'div',
        { class: 'buttons' },
        button(words.test, () => void this.#test()),
        button(words.rotate, () => void renew(() => this.#rotate())),
        button(words.remove, () => void this.#remove(), 'button-small button-danger'),
      ),
      this.secret,
      this.deliveries.element,
    );
  }

  #test() {
    return this.#attempt(async () => {
      await this.api.pingWebhookEndpoint(this.id);
      toast(words.tested, 'done');
      this.deliveries.open();
    });
  }

  #rotate() {
    return this.#attempt(async () => {
      const endpoint = await this.api.rotateWebhookEndpoint(this.id);
      this.showSecret(endpoint.secret);
    });
  }

  async #remove() {
    const { removeTitle: title, removeText: text, remove: yes } = words;
    if (!(await confirmed({ title, text, yes, no: strings.app.cancel }))) return;
    await this.#attempt(async () => {
      await this.api.deleteWebhookEndpoint(this.id);
      this.element.remove();
      this.changed();
      toast(words.removed, 'done');
    });
  }

  /** @param {() => Promise<void>} act */
  async #attempt(act) {
    try {
      await act();
    } catch (error) {
      toastProblem(error);
    }
  }
}

/** @param {WebhookEndpoint} endpoint */
function state({ disabled, disabled_reason, paused_until }) {
  if (disabled) return disabled_reason ? words.disabledBecause(disabled_reason) : words.disabled;
  return paused_until ? words.pausedUntil(dateTime(paused_until)) : words.enabled;
}

/** @param {() => Promise<void>} act */
async function renew(act) {
  const { rotateTitle: title, rotateText: text, rotate: yes } = words;
  if (await confirmed({ title, text, yes, no: strings.app.cancel })) await act();
}
