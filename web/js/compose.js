/** The form: what to make, from what, and sending it. What was written survives a reload. */

import { ApiError } from './client.js';
import { byId, button, el, setText } from './dom.js';
import { either, MAX_PROMPT_TOKENS, modelName, number, tokens } from './format.js';
import { Images } from './images.js';
import { needed } from './lazy.js';
import * as models from './models.js';
import { explain, problemNote } from './problems.js';
import { Quote } from './quote.js';
import { Segments } from './segments.js';
import { forget, recall, remember } from './storage.js';
import { strings } from './strings.js';
import { toast } from './toast.js';

/**
 * @typedef {import('./types.js').CreateVideo} CreateVideo
 * @typedef {import('./types.js').Model} Model
 * @typedef {import('./types.js').Video} Video
 * @typedef {Partial<models.Settings> & {prompt?: string, negative_prompt?: string, seed?: string, project?: string}} Draft
 */

const KEPT = 'draft';
/** What the models could do at the last visit: good enough to begin with. */
const KEPT_MODELS = 'models';
const MAX_SEED = 4_294_967_295;
const SENT_SHOWN_MS = 1500;
const words = strings.compose;

export class Compose {
  /** What can be chosen; empty until it is known. @type {Model[]} */
  models = recall(KEPT_MODELS, []);
  /** Once they were wanted. @type {import('./templates.js').Templates|null} */
  templates = null;

  /**
   * @param {import('./api.js').Api} api
   * @param {import('./submission.js').Submission} submission
   * @param {import('./balance.js').Balance} balance
   * @param {import('./source.js').Source} source
   * @param {(video: Video) => void} sent
   */
  constructor(api, submission, balance, source, sent) {
    this.api = api;
    this.submission = submission;
    this.source = source;
    this.sent = sent;
    this.quote = new Quote(api, balance);
    this.form = /** @type {HTMLFormElement} */ (byId('compose'));
    this.images = new Images(this.form);
    this.prompt = /** @type {HTMLTextAreaElement} */ (byId('prompt'));
    this.model = /** @type {HTMLSelectElement} */ (byId('model'));
    this.sound = /** @type {HTMLInputElement} */ (byId('sound'));
    this.negative = /** @type {HTMLTextAreaElement} */ (byId('negative'));
    this.seed = /** @type {HTMLInputElement} */ (byId('seed'));
    this.project = /** @type {HTMLSelectElement} */ (byId('project'));
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
    this.#fillIn();
    this.#listen();
    if (this.models.length) this.#ready();
    else this.#showTokens();
  }

  /** Learn what the models can do, and what was chosen before the reload. */
  async load() {
    void this.images.load();
    void this.source.load();
    try {
      this.models = (await this.api.models()).data;
      remember(KEPT_MODELS, this.models);
    } catch (error) {
      this.#tell(error, button(strings.app.tryAgain, () => void this.load()));
      return;
    }
    this.#ready();
  }

  /** Those that a new video may belong to. @param {import('./types.js').Project[]} projects */
  offerProjects(projects) {
    const open = projects.filter(({ archived }) => !archived);
    byId('project-field').hidden = open.length === 0;
    this.project.replaceChildren(
      el('option', { value: '' }, words.noProject),
      ...open.map(({ id, title }) => el('option', { value: id }, title)),
    );
    this.project.value = open.some(({ id }) => id === this.draft.project) ? (this.draft.project ?? '') : '';
  }

  /** Take over what an earlier video was made of. @param {Partial<Video>} video */
  reuse(video) {
    const { prompt = '', model, aspect_ratio, resolution, seconds, generate_audio, count, negative_prompt, seed, project } = video;
    this.prompt.value = prompt;
    if (model) {
      this.negative.value = negative_prompt ?? '';
      this.seed.value = seed === null || seed === undefined ? '' : String(seed);
      Object.assign(this.draft, { model, aspect_ratio, resolution, seconds: video.added_seconds ?? Number(seconds), generate_audio, count });
      if (project) this.project.value = project;
    }
    this.#begin();
  }

  /** Go on from a finished video. @param {Video} video */
  extend(video) {
    this.draft.model = video.model;
    this.source.set(video);
    this.#begin();
  }

  /** The balance may be another one. */
  refreshQuote() {
    this.quote.refresh();
  }

  get isReady() {
    return this.models.length > 0;
  }

  forgetDraft() {
    forget(KEPT);
    this.images.clear();
    this.source.set(null);
  }

  #begin() {
    this.notice.replaceChildren();
    this.#changed();
    this.prompt.focus();
    this.prompt.scrollIntoView({ block: 'center' });
  }

  /** @param {string} field @param {'aspect_ratio'|'resolution'|'seconds'|'count'} name */
  #segments(field, name) {
    const numeric = name === 'seconds' || name === 'count';
    return new Segments(/** @type {HTMLFieldSetElement} */ (byId(field)), name, (value) => {
      Object.assign(this.draft, { [name]: numeric ? Number(value) : value });
      this.#changed();
    });
  }

  #fillIn() {
    // Somebody may have begun to write before all of the page was here.
    this.prompt.value ||= this.draft.prompt ?? '';
    this.negative.value = this.draft.negative_prompt ?? '';
    this.seed.value = this.draft.seed ?? '';
  }

  #listen() {
    for (const field of [this.prompt, this.negative, this.seed]) field.addEventListener('input', () => this.#changed());
    this.project.addEventListener('change', () => this.#changed());
    this.model.addEventListener('change', () => {
      this.draft.model = this.model.value;
      this.#changed();
    });
    this.sound.addEventListener('change', () => {
      this.draft.generate_audio = this.sound.checked;
      this.#changed();
    });
    for (const material of [this.images, this.source]) material.addEventListener('change', () => this.#show());
    for (const id of ['templates-open', 'compose-clear']) /** @type {HTMLButtonElement} */ (byId(id)).disabled = false;
    byId('templates-open').addEventListener('click', () => void this.#openTemplates());
    byId('compose-clear').addEventListener('click', () => this.#clear());
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

  /** Words and material go; what was set stays. With a way back. */
  #clear() {
    const { prompt, negative_prompt, seed } = this.draft;
    const { video } = this.source;
    this.images.clear();
    this.source.set(null);
    Object.assign(this.draft, { prompt: '', negative_prompt: '', seed: '' });
    this.prompt.value = '';
    this.#fillIn();
    this.#begin();
    const undo = () => {
      Object.assign(this.draft, { prompt, negative_prompt, seed });
      this.prompt.value = '';
      this.#fillIn();
      this.source.set(video);
      this.#begin();
    };
    if (prompt) toast(words.cleared, 'info', { label: strings.app.undo, run: undo });
  }

  async #openTemplates() {
    const fetched = await needed(() => import('./templates.js'));
    if (fetched) this.templates ??= new fetched.Templates((prompt) => this.#write(prompt));
    this.templates?.open();
  }

  /** @param {string} prompt */
  #write(prompt) {
    this.prompt.value = prompt;
    this.#begin();
  }

  #changed() {
    const { draft } = this;
    Object.assign(draft, { prompt: this.prompt.value, negative_prompt: this.negative.value, seed: this.seed.value });
    if (this.project.options.length) draft.project = this.project.value;
    remember(KEPT, draft);
    this.#show();
  }

  #ready() {
    this.form.removeAttribute('aria-busy');
    this.button.disabled = false;
    this.notice.replaceChildren();
    this.#show();
  }

  #show() {
    this.#showTokens();
    if (!this.models.length) return;
    const model = this.#model;
    this.images.show(model, this.source.video !== null);
    const material = this.#material;
    const settings = models.fit(model, this.draft, material);
    const { aspect_ratio, resolution, seconds, count } = settings;
    this.#showModels(model, resolution);
    this.rows.aspect_ratio.show(models.orientationChoices(this.models, model, material), aspect_ratio);
    this.rows.resolution.show(models.resolutionChoices(this.models, model, aspect_ratio, material), resolution);
    this.rows.seconds.show(models.lengthChoices(model, resolution, material), String(seconds));
    this.rows.count.show(models.countChoices(model), String(count));
    byId('count-field').hidden = model.max_count < 2;
    this.sound.checked = settings.generate_audio;
    const name = modelName(model.id);
    bar(this.sound, 'sound-reason', model.silent, words.reasons.alwaysSound(name), words.soundHelp);
    bar(this.negative, 'negative-reason', model.negative_prompt, words.reasons.noNegative(name), '');
    bar(this.seed, 'seed-reason', model.seed, words.reasons.noSeed(name), words.seedHelp);
    this.quote.show({ model, settings, material, request: this.#fault() ? null : this.#request() });
  }

  /** @param {Model} chosen @param {import('./types.js').Resolution} resolution */
  #showModels(chosen, resolution) {
    const { video } = this.source;
    const unable = video ? this.models.filter((model) => !models.canExtend(model, video)) : [];
    const options = this.models.map((model) =>
      el(
        'option',
        { value: model.id, disabled: unable.includes(model) },
        unable.includes(model)
          ? words.modelBarred(modelName(model.id))
          : words.modelOption(modelName(model.id), number(models.pricePerSecond(model, resolution, video))),
      ),
    );
    // Redrawing an open list would close it, so it happens only when the options are others.
    if (options.map(({ outerHTML }) => outerHTML).join('') !== this.model.innerHTML) this.model.replaceChildren(...options);
    this.model.value = chosen.id;
    const names = unable.map(({ id }) => modelName(id));
    setText(byId('model-reason'), names.length ? words.reasons.cannotExtend(either(names)) : '');
  }

  get #model() {
    return models.modelOf(this.models, this.draft.model, this.source.video);
  }

  /** @returns {models.Material} */
  get #material() {
    return { source: this.source.video, references: this.images.hasReferences, lastFrame: this.images.hasLast };
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
    const { video } = this.source;
    const { aspect_ratio, resolution, ...settings } = models.fit(model, this.draft, this.#material);
    const negative = this.negative.value.trim();
    const seed = this.seed.value.trim();
    return {
      prompt: this.prompt.value.trim(),
      ...settings,
      // An extension has the size of what it goes on from.
      ...(video ? { extends: video.id } : { aspect_ratio, resolution }),
      ...(model.negative_prompt && negative && { negative_prompt: negative }),
      ...(model.seed && seed && { seed: Number(seed) }),
      ...(this.project.value && { project: this.project.value }),
    };
  }

  /** What keeps the form from being sent, and the field to mend. @returns {{text: string, field: HTMLElement}|null} */
  #fault() {
    const prompt = this.prompt.value.trim();
    const over = tokens(prompt) - MAX_PROMPT_TOKENS;
    const seed = this.seed.value.trim();
    const { video } = this.source;
    if (!prompt) return { text: words.problems.empty, field: this.prompt };
    if (over > 0) return { text: words.problems.tooLong(number(over)), field: this.prompt };
    if (video && !models.canExtend(this.#model, video)) return { text: words.problems.noExtension, field: this.model };
    if (this.images.lacksFirst) return { text: words.problems.firstMissing, field: byId('slot-first').querySelector('input') ?? this.prompt };
    if (this.#model.seed && seed && !(/^\d+$/.test(seed) && Number(seed) <= MAX_SEED)) {
      return { text: words.problems.seed, field: this.seed };
    }
    return null;
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
      const retrying = () => setText(this.notice, words.retrying);
      const video = await this.submission.send(this.#request(), this.quote.cost, this.images, retrying);
      this.notice.replaceChildren();
      this.#setButton(true, words.sent);
      this.sent(video);
      // Held for a moment: the second half of a double click is not a second wish.
      setTimeout(() => this.#setButton(false, words.send), SENT_SHOWN_MS);
    } catch (error) {
      this.#setButton(false, words.send);
      // The new price is shown before the user is asked to agree to it.
      if (error instanceof ApiError && error.code === 'PRICE_CHANGED') await this.#reprice();
      this.#tell(error);
    }
  }

  async #reprice() {
    this.quote.refresh();
    await this.load();
  }

  /** @param {unknown} error @param {...Node} more */
  #tell(error, ...more) {
    this.notice.replaceChildren(problemNote(explain(error), ...more));
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
