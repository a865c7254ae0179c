/** API keys: making one, seeing what there is, taking one back. */

import { confirmed } from '../confirm.js';
import { button, el } from '../dom.js';
import { date } from '../format.js';
import { Form } from '../components/form.js';
import { Listing } from '../components/listing.js';
import { secretNote } from '../components/secret.js';
import { strings } from '../strings.js';
import { toast, toastProblem } from '../toast.js';

/** @typedef {import('../types.js').ApiKey} ApiKey */

const MAX_NAME = 100;
const words = strings.keys;

export class Keys {
  /** @param {import('./account.js').AccountContext} context */
  constructor({ api }) {
    this.api = api;
    this.shown = el('div', {});
    this.form = new Form(
      words.make,
      [
        { name: 'name', label: words.name, placeholder: words.namePlaceholder, maxlength: MAX_NAME },
        { name: 'scope', label: words.scope, type: 'select', options: Object.entries(words.scopes) },
        { name: 'expires_in_days', label: words.expires, type: 'select', options: Object.entries(words.days), value: '90' },
      ],
      words.make,
      ({ name = '', scope, expires_in_days }) => this.#make(name, scope, Number(expires_in_days)),
    );
    this.listing = new Listing({
      label: strings.account.sections.keys,
      columns: [[words.name, 'wide'], [words.scope], [words.expires, 'quiet'], ['', 'actions']],
      fetch: async () => ({ ...(await api.apiKeys()), has_more: false, last_id: null }),
      cells: (key) => this.#cells(key),
      empty: words.empty,
      failed: words.failed,
    });
    this.element = el(
      'div',
      { class: 'stack' },
      el('p', { class: 'lead' }, words.lead),
      el('div', { class: 'panel' }, this.form.element, this.shown),
      this.listing.element,
    );
  }

  load() {
    void this.listing.load();
  }

  /** @param {string} name @param {string} scope @param {number} days 0: without end */
  async #make(name, scope, days) {
    const made = await this.api.createApiKey({ name, scope, ...(days && { expires_in_days: days }) });
    this.form.reset();
    const note = secretNote(words.made, made.key, words.done);
    this.shown.replaceChildren(note);
    note.querySelector('button')?.focus();
    this.listing.put(made.id, made);
  }

  /** @param {ApiKey} key */
  #cells(key) {
    const { name, prefix, scope, expires_at, last_used_at } = key;
    const isOver = expires_at !== null && expires_at < this.api.now_s;
    const ends = expires_at === null ? words.neverEnds : isOver ? words.ended(date(expires_at)) : words.ends(date(expires_at));
    const revoke = button(words.revoke, () => void this.#revoke(key), 'button-small button-danger');
    revoke.setAttribute('aria-label', `${words.revoke}: ${name}`);
    return [
      el('div', {}, el('span', { class: 'cell-title' }, name), el('code', { class: 'cell-note' }, `${prefix}…`)),
      words.scopes[scope],
      el('div', {}, ends, el('br'), last_used_at ? words.used(date(last_used_at)) : words.neverUsed),
      revoke,
    ];
  }

  /** @param {ApiKey} key */
  async #revoke({ id, name }) {
    const { revokeTitle: title, revokeText, revoke: yes } = words;
    if (!(await confirmed({ title, text: revokeText(name), yes, no: strings.app.cancel }))) return;
    try {
      await this.api.revokeApiKey(id);
      this.listing.remove(id);
      toast(words.revoked, 'done');
    } catch (error) {
      toastProblem(error);
    }
  }
}
