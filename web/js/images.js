/**
 * The images that a video is made from: a first and a last frame, or up to three references; chosen, dropped anywhere on
 * the form, or pasted. They survive a reload. Event: "change".
 */

import { recallBlobs, rememberBlobs } from './blobs.js';
import { byId, el, icon, iconButton, setText } from './dom.js';
import { modelName } from './format.js';
import { ACCEPTED, imageFault } from './image_file.js';
import { strings } from './strings.js';

/**
 * @typedef {'first'|'last'|'reference'} Slot
 * @typedef {{id: string, name: string, file: Blob}} Image `id` tells one choice from another
 * @typedef {import('./types.js').Model} Model
 */

const KEPT = 'images';
/** @type {Slot[]} */
const SLOTS = ['first', 'last', 'reference'];
const FIELDS = { first: 'input_reference', last: 'last_frame', reference: 'reference_images' };
const words = strings.images;

export class Images extends EventTarget {
  /** @type {Record<Slot, Image[]>} */
  #chosen = { first: [], last: [], reference: [] };
  /** Why each slot takes nothing (more); empty: it does. @type {Record<Slot, string>} */
  #barred = { first: '', last: '', reference: '' };
  /** @type {Map<string, string>} */
  #urls = new Map();
  #drawn = '';

  /** @param {HTMLFormElement} form */
  constructor(form) {
    super();
    this.form = form;
    this.fault = byId('images-fault');
    this.#listen();
  }

  async load() {
    const kept = await recallBlobs(KEPT, this.#chosen);
    if (this.all.length) return;
    this.#chosen = kept;
    this.#tell();
  }

  /** @returns {[Slot, Image][]} */
  get all() {
    return SLOTS.flatMap((slot) => this.#chosen[slot].map((image) => /** @type {[Slot, Image]} */ ([slot, image])));
  }

  get hasReferences() {
    return this.#chosen.reference.length > 0;
  }

  get hasLast() {
    return this.#chosen.last.length > 0;
  }

  /** A last frame alone cannot be sent. */
  get lacksFirst() {
    return this.#chosen.last.length > 0 && this.#chosen.first.length === 0;
  }

  /** Which images go along, as one text. */
  get fingerprint() {
    return this.all.map(([slot, { id }]) => `${slot}:${id}`).join();
  }

  /** Add the images that the model takes. @param {FormData} form */
  appendTo(form) {
    for (const [slot, { file, name }] of this.all) form.append(FIELDS[slot], file, name);
  }

  clear() {
    this.#chosen = { first: [], last: [], reference: [] };
    this.#changed();
  }

  /** What the model takes, and why not the rest. What it does not take at all is put away. @param {Model} model @param {boolean} extending */
  show(model, extending) {
    const name = modelName(model.id);
    const { first, last, reference } = this.#chosen;
    const frames = first.length + last.length > 0;
    const never = {
      first: extending ? words.reasons.extension : model.first_frame ? '' : words.reasons.noFirst(name),
      last: extending ? words.reasons.extension : model.last_frame ? '' : words.reasons.noLast(name),
      reference: extending ? words.reasons.extension : model.max_reference_images ? '' : words.reasons.noReferences(name),
    };
    this.#barred = {
      first: never.first || (reference.length ? words.reasons.notBoth : ''),
      last: never.last || (reference.length ? words.reasons.notBoth : first.length ? '' : words.reasons.needsFirst),
      reference: never.reference || (frames ? words.reasons.notBoth : this.#full(model)),
    };
    const surplus = SLOTS.filter((slot) => never[slot] && this.#chosen[slot].length);
    for (const slot of surplus) this.#chosen[slot] = [];
    if (surplus.length) void rememberBlobs(KEPT, this.#chosen);
    this.#draw();
  }

  /** @param {Model} model */
  #full({ max_reference_images }) {
    return this.#chosen.reference.length < max_reference_images ? '' : words.reasons.full(max_reference_images);
  }

  #listen() {
    this.form.addEventListener('dragover', (event) => {
      if (!event.dataTransfer?.types.includes('Files')) return;
      event.preventDefault();
      this.form.classList.add('dropping');
      this.#mark(event.target);
    });
    this.form.addEventListener('dragleave', (event) => {
      if (!this.form.contains(/** @type {Node|null} */ (event.relatedTarget))) this.#unmark();
    });
    this.form.addEventListener('drop', (event) => {
      const files = [...(event.dataTransfer?.files ?? [])];
      if (!files.length) return;
      event.preventDefault();
      this.#unmark();
      void this.#take(files, slotOf(event.target));
    });
    // A file that misses the form must not replace the page.
    for (const name of ['dragover', 'drop']) addEventListener(name, (event) => event.preventDefault());
    this.form.addEventListener('paste', (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (!files.length) return;
      event.preventDefault();
      void this.#take(files, slotOf(event.target));
    });
  }

  /** @param {EventTarget|null} target */
  #mark(target) {
    const slot = slotOf(target);
    for (const each of SLOTS) byId(`slot-${each}`).querySelector('.slot-frame')?.classList.toggle('target', each === slot);
  }

  #unmark() {
    this.form.classList.remove('dropping');
    this.#mark(null);
  }

  /** @param {File[]} files @param {Slot|null} wanted where they were dropped, if on a slot */
  async #take(files, wanted) {
    setText(this.fault, '');
    for (const file of files) {
      const name = file.name && file.name !== 'image.png' ? file.name : words.pasted;
      const fault = await imageFault(file, name);
      // Looked for only now: each image may fill or open a slot.
      const slot = fault ? null : this.#place(wanted);
      if (slot === null) {
        setText(this.fault, fault || this.#whyNot(wanted, name));
        return;
      }
      const image = { id: crypto.randomUUID(), name, file };
      this.#chosen[slot] = slot === 'reference' ? [...this.#chosen.reference, image] : [image];
      // Shown once it is kept: what you see survives a reload.
      await rememberBlobs(KEPT, this.#chosen);
      this.#tell();
    }
  }

  /** @param {Slot|null} wanted @returns {Slot|null} */
  #place(wanted) {
    const empty = (/** @type {Slot} */ slot) => !this.#barred[slot] && (slot === 'reference' || !this.#chosen[slot].length);
    if (wanted && !this.#barred[wanted]) return wanted;
    return wanted ? null : (SLOTS.find(empty) ?? null);
  }

  /** @param {Slot|null} wanted @param {string} name */
  #whyNot(wanted, name) {
    return wanted ? this.#barred[wanted] : words.faults.noRoom(name);
  }

  /** @param {Slot} slot @param {Image} image */
  #remove(slot, image) {
    this.#chosen[slot] = this.#chosen[slot].filter(({ id }) => id !== image.id);
    setText(this.fault, '');
    this.#changed();
    /** @type {HTMLElement|null} */ (byId(`slot-${slot}`).querySelector('input, button'))?.focus();
  }

  #changed() {
    void rememberBlobs(KEPT, this.#chosen);
    this.#tell();
  }

  #tell() {
    this.dispatchEvent(new Event('change'));
  }

  #draw() {
    const drawn = JSON.stringify([this.fingerprint, this.#barred]);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    this.#forgetUrls();
    for (const slot of SLOTS) this.#drawSlot(slot);
    const reasons = new Set(SLOTS.filter((slot) => slot !== 'last' || this.#barred.last !== words.reasons.needsFirst).map((slot) => this.#barred[slot]));
    setText(byId('images-reason'), [...reasons].filter(Boolean).join(' '));
    byId('images-help').hidden = this.all.length > 0 || SLOTS.every((slot) => this.#barred[slot]);
  }

  /** @param {Slot} slot */
  #drawSlot(slot) {
    const images = this.#chosen[slot];
    const barred = this.#barred[slot];
    const isOpen = slot === 'reference' ? !images.length || !barred : !images.length;
    byId(`slot-${slot}`).replaceChildren(
      el('span', { class: 'slot-name', 'aria-hidden': true }, words[slot]),
      el(
        'div',
        { class: 'slot-frame', title: barred || null },
        ...images.map((image) => this.#picture(slot, image)),
        isOpen && this.#adder(slot, barred),
      ),
    );
  }

  /** @param {Slot} slot @param {Image} image */
  #picture(slot, image) {
    const url = URL.createObjectURL(image.file);
    this.#urls.set(image.id, url);
    return el(
      'div',
      { class: 'slot-image' },
      el('img', { src: url, alt: words.added(image.name, words[slot]) }),
      iconButton('close', words.remove(words[slot], image.name), () => this.#remove(slot, image)),
    );
  }

  /** @param {Slot} slot @param {string} barred */
  #adder(slot, barred) {
    const input = el('input', {
      type: 'file',
      accept: ACCEPTED,
      multiple: slot === 'reference',
      disabled: Boolean(barred),
      'aria-label': words.add(words[slot]),
      'aria-describedby': 'images-reason',
    });
    input.addEventListener('change', () => void this.#take([...(input.files ?? [])], slot));
    return el('div', { class: 'slot-add' }, icon('plus'), input);
  }

  #forgetUrls() {
    for (const url of this.#urls.values()) URL.revokeObjectURL(url);
    this.#urls.clear();
  }
}

/** @param {EventTarget|null} target @returns {Slot|null} */
const slotOf = (target) =>
  target instanceof Element ? /** @type {Slot|null} */ (target.closest('[data-slot]')?.getAttribute('data-slot') ?? null) : null;
