/** One's rights to the data: a copy of all of it, and its end. */

import { confirmed } from '../confirm.js';
import { button, el, icon, setText } from '../dom.js';
import { date, fileSize, number } from '../format.js';
import { explain, problemNote } from '../problems.js';
import { save } from '../save.js';
import { forget, recall, remember } from '../storage.js';
import { strings } from '../strings.js';
import { toastProblem } from '../toast.js';

/** @typedef {import('../types.js').Export} Export */

/** The service has no list of exports: this browser remembers the one that it asked for. */
const KEPT = 'export';
const LOOK_EVERY_MS = 1500;
const words = strings.data;

export class Data {
  #timer = 0;

  /** @param {import('./account.js').AccountContext} context */
  constructor({ api, balance, signOut }) {
    this.api = api;
    this.balance = balance;
    this.signOut = signOut;
    this.start = button(words.exportStart, () => void this.#ask(() => api.startExport()), 'button-primary');
    this.state = el('p', { role: 'status' });
    this.files = el('ul', { class: 'files' });
    this.problem = el('div', { role: 'alert' });
    this.element = el(
      'div',
      { class: 'stack' },
      el(
        'section',
        { class: 'panel stack' },
        el('h3', {}, words.exportTitle),
        el('p', { class: 'lead' }, words.exportLead),
        el('div', { class: 'buttons' }, this.start, this.state),
        this.files,
        this.problem,
      ),
      el(
        'section',
        { class: 'panel stack' },
        el('h3', {}, words.eraseTitle),
        el('p', { class: 'lead' }, words.eraseLead),
        el('div', { class: 'buttons' }, button(words.erase, () => void this.#erase(), 'button-danger')),
      ),
    );
  }

  load() {
    const id = recall(KEPT, '');
    if (id) void this.#ask(() => this.api.getExport(id));
  }

  /** @param {() => Promise<Export>} request */
  async #ask(request) {
    clearTimeout(this.#timer);
    this.start.disabled = true;
    try {
      this.#show(await request());
    } catch (error) {
      const problem = explain(error);
      this.start.disabled = false;
      setText(this.state, '');
      forget(KEPT);
      this.problem.replaceChildren(problemNote(problem));
    }
  }

  /** @param {Export} copy */
  #show({ id, status, expires_at, files }) {
    const isUnderWay = status === 'queued' || status === 'in_progress';
    remember(KEPT, id);
    this.problem.replaceChildren();
    this.start.disabled = isUnderWay;
    setText(this.state, isUnderWay ? words.exportUnderWay : expires_at && files.length ? words.exportReady(date(expires_at)) : words.exportGone);
    this.files.replaceChildren(
      ...files.map(({ name, size_bytes }) => {
        const download = el('button', { type: 'button', class: 'button button-small', on: { click: () => void this.#download(id, name) } }, icon('download'), name);
        return el('li', {}, download, el('span', { class: 'quiet' }, fileSize(size_bytes)));
      }),
    );
    // Only while somebody waits for it here; the export goes on by itself.
    if (isUnderWay) this.#timer = setTimeout(() => this.element.isConnected && void this.#ask(() => this.api.getExport(id)), LOOK_EVERY_MS);
  }

  /** By a fresh URL: those of the list live for minutes. @param {string} id @param {string} name */
  async #download(id, name) {
    try {
      const { files } = await this.api.getExport(id);
      const file = files.find((each) => each.name === name);
      if (file) save(await this.api.file(file.url), name);
    } catch (error) {
      toastProblem(error);
    }
  }

  async #erase() {
    const word = this.balance.account?.email ?? 'delete';
    const agreed = await confirmed({
      title: words.eraseAsk,
      text: words.eraseText(number(this.balance.credits ?? 0)),
      yes: words.eraseYes,
      no: words.eraseNo,
      word,
      wordLabel: words.eraseWord(word),
    });
    if (!agreed) return;
    try {
      await this.api.deleteAccount();
    } catch (error) {
      toastProblem(error);
      return;
    }
    this.signOut(words.erased);
  }
}
