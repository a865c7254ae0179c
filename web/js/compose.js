/** The form: what to make, what it costs, and sending it. */

import { ApiError } from './api.js';
import { byId, el, setText } from './dom.js';
import { duration, MAX_PROMPT_TOKENS, modelName, number, tokens } from './format.js';
import * as models from './models.js';
import { explain, problemNote } from './problems.js';
import { Segments } from './segments.js';
import { forget, recall, remember } from './storage.js';
import { strings } from './strings.js';

/**
 * @typedef {import('./types.js').CreateVideo} CreateVideo
 * @typedef {import('./types.js').Estimate} Estimate
 * @typedef {import('./types.js').Model} Model
 * @typedef {import('./types.js').Video} Video
 * @typedef {Partial<models.Settings> & {prompt?: string, negative_prompt?: string, seed?: string}} Draft
 */

const KEPT = 'draft';
const MAX_SEED = 4_294_967_295;
const ESTIMATE_PAUSE_MS = 250;
const SENT_SHOWN_MS = 1500;
const words = strings.compose;

export class Compose {
  /** @type {Model[]} */
  #models = [];
  /** @type {Estimate|null} */
  #estimate = null;
  #estimated = '';
  #timer = 0;
  #asked = new AbortController();

  /**
   * @param {import('./api.js').Api} api
   * @param {import('./submission.js').Submission} submission
   * @param {import('./account.js').Account} account
   * @param {(video: Video) => void} sent
   */
  constructor(api, submission, account, sent) {
    this.api = api;
    this.submission = submission;
    this.account = account;
    this.sent = sent;
    this.form = /** @type {HTMLFormElement} */ (byId('compose'));
    this.prompt = /** @type {HTMLTextAreaElement} */ (byId('prompt'));
    this.model = /** @type {HTMLSelectElement} */ (byId('model'));
    this.sound = /** @type {HTMLInputElement} */ (byId('sound'));
    this.negative = /** @type {HTMLTextAreaElement} */ (byId('negative'));
    this.seed = /** @type {HTMLInputElement} */ (byId('seed'));
    this.button = /** @type {HTMLButtonElement} */ (byId('send'));
    this.notice = byId('compose-notice');
    /** @type {Draft} */
    this.draft = recall(KEPT, {});
    this.rows = {
      aspect_ratio: this.#segments('orientation-field', 'aspect_ratio'),
      resolution: this.#segments('resolution-field', 'resolution'),
      seconds: this.#segments('seconds-field', 'seconds'),
      count: this.#segments('count-field', 'count'),
    };
    this.#listen();
    this.prompt.value = this.draft.prompt ?? '';
    this.negative.value = this.draft.negative_prompt ?? '';
    this.seed.value = this.draft.seed ?? '';
    this.#showTokens();
  }

  /** Learn what the models can do. */
  async load() {
    try {
      this.#models = (await this.api.models()).data;
      this.notice.replaceChildren();
    } catch (error) {
      const again = el('button', { type: 'button', class: 'button button-small', on: { click: () => this.load() } }, strings.app.tryAgain);
      this.notice.replaceChildren(problemNote(explain(error), again));
      return;
    }
    this.model.replaceChildren(
      ...this.#models.map(({ id, credits_per_second }) =>
        el('option', { value: id }, words.modelOption(modelName(id), number(credits_per_second))),
      ),
    );
    this.form.removeAttribute('aria-busy');
    this.button.disabled = false;
    this.#show();
  }

  /** Take over what an earlier video was made of. @param {Partial<Video>} video */
  reuse(video) {
    const { prompt = '', model, aspect_ratio, resolution, seconds, generate_audio, count, negative_prompt, seed } = video;
    this.prompt.value = prompt;
    if (model) {
      this.negative.value = negative_prompt ?? '';
      this.seed.value = seed === null || seed === undefined ? '' : String(seed);
      Object.assign(this.draft, { model, aspect_ratio, resolution, seconds: Number(seconds), generate_audio, count });
    }
    this.notice.replaceChildren();
    this.#changed();
    this.prompt.focus();
    this.prompt.scrollIntoView({ block: 'center' });
  }

  /** The balance may be another one. */
  refreshEstimate() {
    this.#estimated = '';
    if (this.#models.length) this.#showQuote();
    this.#planEstimate(0);
  }

  forgetDraft() {
    forget(KEPT);
  }

  /** @param {string} field @param {'aspect_ratio'|'resolution'|'seconds'|'count'} name */
  #segments(field, name) {
    const numeric = name === 'seconds' || name === 'count';
    return new Segments(/** @type {HTMLFieldSetElement} */ (byId(field)), name, (value) => {
      Object.assign(this.draft, { [name]: numeric ? Number(value) : value });
      this.#changed();
    });
  }

  #listen() {
    for (const field of [this.prompt, this.negative, this.seed]) field.addEventListener('input', () => this.#changed());
    this.model.addEventListener('change', () => {
      this.draft.model = this.model.value;
      this.#changed();
    });
    this.sound.addEventListener('change', () => {
      this.draft.generate_audio = this.sound.checked;
      this.#changed();
    });
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#send();
    });
    this.form.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      if (!event.repeat) this.form.requestSubmit(this.button);
    });
    // A keyboard without Ctrl says so in its platform's name; there is no better sign.
    if (/Mac|iP(hone|ad)/.test(navigator.platform)) setText(byId('shortcut'), words.shortcutMac);
  }

  #changed() {
    Object.assign(this.draft, { prompt: this.prompt.value, negative_prompt: this.negative.value, seed: this.seed.value });
    remember(KEPT, this.draft);
    this.#show();
  }

  #show() {
    this.#showTokens();
    if (!this.#models.length) return;
    const model = this.#model;
    const settings = models.fit(model, this.draft);
    this.model.value = model.id;
    this.rows.aspect_ratio.show(models.orientationChoices(this.#models, model), settings.aspect_ratio);
    this.rows.resolution.show(models.resolutionChoices(this.#models, model, settings.aspect_ratio), settings.resolution);
    this.rows.seconds.show(models.lengthChoices(model, settings.resolution), String(settings.seconds));
    this.rows.count.show(models.countChoices(model), String(settings.count));
    byId('count-field').hidden = model.max_count < 2;
    this.sound.checked = settings.generate_audio;
    const name = modelName(model.id);
    bar(this.sound, 'sound-reason', model.silent, words.reasons.alwaysSound(name), words.soundHelp);
    bar(this.negative, 'negative-reason', model.negative_prompt, words.reasons.noNegative(name), '');
    bar(this.seed, 'seed-reason', model.seed, words.reasons.noSeed(name), words.seedHelp);
    this.#showQuote();
    this.#planEstimate(ESTIMATE_PAUSE_MS);
  }

  get #model() {
    return models.modelOf(this.#models, this.draft.model);
  }

  #showTokens() {
    const used = tokens(this.prompt.value.trim());
    const count = byId('prompt-count');
    setText(count, words.tokens(number(used), number(MAX_PROMPT_TOKENS)));
    count.classList.toggle('over', used > MAX_PROMPT_TOKENS);
  }

  /** @returns {CreateVideo} */
  #request() {
    const model = this.#model;
    const negative = this.negative.value.trim();
    const seed = this.seed.value.trim();
    return {
      prompt: this.prompt.value.trim(),
      ...models.fit(model, this.draft),
      ...(model.negative_prompt && negative && { negative_prompt: negative }),
      ...(model.seed && seed && { seed: Number(seed) }),
    };
  }

  /** What keeps the form from being sent, and the field to mend. @returns {{text: string, field: HTMLElement}|null} */
  #fault() {
    const prompt = this.prompt.value.trim();
    const over = tokens(prompt) - MAX_PROMPT_TOKENS;
    const seed = this.seed.value.trim();
    if (!prompt) return { text: words.problems.empty, field: this.prompt };
    if (over > 0) return { text: words.problems.tooLong(number(over)), field: this.prompt };
    if (this.#model.seed && seed && !(/^\d+$/.test(seed) && Number(seed) <= MAX_SEED)) {
      return { text: words.problems.seed, field: this.seed };
    }
    return null;
  }

  // --- the quote ---

  /** @param {number} pause_ms */
  #planEstimate(pause_ms) {
    clearTimeout(this.#timer);
    if (!this.#models.length || this.#fault()) return;
    this.#timer = setTimeout(() => void this.#askEstimate(), pause_ms);
  }

  async #askEstimate() {
    const request = this.#request();
    const wanted = JSON.stringify(request);
    if (wanted === this.#estimated) return;
    this.#asked.abort();
    this.#asked = new AbortController();
    const { signal } = this.#asked;
    try {
      this.#estimate = await this.api.estimate(request, signal);
      this.#estimated = wanted;
      this.#showQuote();
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      // The list price stands; whatever is wrong is said again, with what to do, when the request is sent.
      this.#estimate = null;
    }
  }

  #showQuote() {
    const model = this.#model;
    const known = !this.#fault() && this.#estimated === JSON.stringify(this.#request()) ? this.#estimate : null;
    const cost = known?.cost ?? models.listPrice(model, models.fit(model, this.draft));
    const balance = known?.balance ?? this.account.balance;
    setText(byId('quote-cost'), words.credits(number(cost), cost));
    setText(byId('quote-time'), duration(known?.expected_seconds ?? model.usual_seconds));
    const after = known?.balance_after ?? (balance === null ? null : balance - cost);
    setText(byId('quote-after'), after === null ? '–' : number(after));
    setText(byId('quote-refusal'), known?.refusal ? (words.refusals[known.refusal] ?? known.refusal) : '');
    byId('quote').classList.toggle('short', after !== null && after < 0);
  }

  // --- sending ---

  async #send() {
    if (this.button.disabled) return;
    const fault = this.#fault();
    if (fault) {
      this.#showFault(fault);
      return;
    }
    this.notice.replaceChildren();
    this.#setButton(true, words.sending);
    try {
      const video = await this.submission.send(this.#request(), () => setText(this.notice, words.retrying));
      this.notice.replaceChildren();
      this.#setButton(true, words.sent);
      this.sent(video);
      // Held for a moment: the second half of a double click is not a second wish.
      setTimeout(() => this.#setButton(false, words.send), SENT_SHOWN_MS);
    } catch (error) {
      this.#setButton(false, words.send);
      this.notice.replaceChildren(problemNote(explain(error)));
    }
  }

  /** @param {{text: string, field: HTMLElement}} fault */
  #showFault({ text, field }) {
    this.notice.replaceChildren(problemNote({ message: text, action: '', requestId: '' }));
    /** @type {HTMLDetailsElement|null} */ (field.closest('details'))?.setAttribute('open', '');
    field.focus();
  }

  /** @param {boolean} disabled @param {string} text */
  #setButton(disabled, text) {
    this.button.disabled = disabled;
    setText(byId('send-text'), text);
  }
}

/**
 * Let a field be used or not, and say why not.
 * @param {HTMLInputElement|HTMLTextAreaElement} field
 * @param {string} reasonId
 * @param {boolean} usable
 * @param {string} reason
 * @param {string} help said where it can be used
 */
function bar(field, reasonId, usable, reason, help) {
  field.disabled = !usable;
  setText(byId(reasonId), usable ? help : reason);
}
