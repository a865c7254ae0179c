/** The balance, the facts of the account, and what was used per day. */

import { el, setText } from '../dom.js';
import { date, number } from '../format.js';
import { Form } from '../components/form.js';
import { setTheme, theme } from '../theme.js';
import { strings } from '../strings.js';
import { toast } from '../toast.js';
import { Usage } from './usage.js';

const MAX_NAME = 100;
const words = strings.account;

export class Overview {
  /** @param {import('./account.js').AccountContext} context */
  constructor({ api, balance }) {
    this.api = api;
    this.balance = balance;
    this.figure = el('span', { class: 'balance-figure' }, strings.app.none);
    this.facts = el('dl', { class: 'facts' });
    this.usage = new Usage(api);
    this.profile = new Form(
      words.profile,
      [{ name: 'display_name', label: words.name, help: words.nameHelp, maxlength: MAX_NAME, optional: true }],
      strings.app.save,
      async ({ display_name = null }) => {
        balance.learn(await api.updateAccount({ display_name }));
        toast(strings.app.saved, 'done');
      },
    );
    this.element = el(
      'div',
      { class: 'stack' },
      el(
        'div',
        { class: 'panel balance-panel' },
        el('p', {}, el('span', { class: 'balance-label' }, words.balance), this.figure, ' ', el('span', { class: 'balance-label-unit' }, words.unit)),
        this.facts,
      ),
      this.usage.element,
      el('div', { class: 'panel two' }, this.profile.element, appearance()),
    );
    this.refresh();
  }

  load() {
    void this.usage.load();
  }

  refresh() {
    const { account } = this.balance;
    if (!account) return;
    const { email, plan, active_jobs, active_jobs_limit, created_at, display_name } = account;
    setText(this.figure, number(account.balance));
    const name = /** @type {HTMLInputElement} */ (this.profile.element.querySelector('input'));
    if (document.activeElement !== name) name.value = display_name ?? '';
    this.facts.replaceChildren(
      ...[
        [words.email, email ?? strings.app.none],
        [words.plan, plan],
        [words.active, words.activeOf(active_jobs.length, active_jobs_limit)],
        [words.since, date(created_at)],
      ].map(([fact, value]) => el('div', {}, el('dt', {}, fact), el('dd', {}, value))),
    );
    if (this.element.isConnected) void this.usage.load();
  }
}

function appearance() {
  const choices = Object.entries(words.themes).map(([value, text]) => {
    const input = el('input', { type: 'radio', name: 'theme', value, checked: value === theme() });
    input.addEventListener('change', () => setTheme(/** @type {'system'|'dark'|'light'} */ (value)));
    return el('label', { class: 'segment' }, input, el('span', {}, text));
  });
  return el('fieldset', { class: 'field' }, el('legend', {}, words.appearance), el('div', { class: 'segments' }, ...choices));
}
