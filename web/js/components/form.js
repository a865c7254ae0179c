/** A form of a few fields: its values, and what is wrong said at the field that the service names. */

import { ApiError } from '../client.js';
import { el, setText } from '../dom.js';
import { explain, problemNote } from '../problems.js';

/**
 * @typedef {object} Field
 * @property {string} name as the service names it
 * @property {string} label
 * @property {'text'|'url'|'number'|'select'|'checks'} [type]
 * @property {[string, string][]} [options] values and words, of a select or of checks
 * @property {string} [placeholder]
 * @property {string} [help]
 * @property {string} [value]
 * @property {number} [maxlength]
 * @property {boolean} [optional]
 */

let made = 0;

export class Form {
  /** @type {Map<string, {field: Field, box: HTMLElement, fault: HTMLElement}>} */
  #fields = new Map();

  /**
   * @param {string} label of the whole
   * @param {Field[]} fields
   * @param {string} submit the button's words
   * @param {(values: Record<string, any>) => Promise<void>} send raises ApiError
   */
  constructor(label, fields, submit, send) {
    this.send = send;
    this.button = el('button', { type: 'submit', class: 'button button-primary' }, submit);
    this.problem = el('div', { role: 'alert', class: 'form-problem' });
    this.element = el(
      'form',
      { class: 'form', 'aria-label': label, novalidate: true },
      ...fields.map((field) => this.#draw(field)),
      el('div', { class: 'form-foot' }, this.button),
      this.problem,
    );
    this.element.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#submit();
    });
  }

  /** Empty it again. */
  reset() {
    this.element.reset();
    this.#clearFaults();
  }

  /** @returns {Record<string, any>} empty ones are left out */
  get values() {
    /** @type {Record<string, any>} */
    const values = {};
    for (const [name, { field, box }] of this.#fields) {
      if (field.type === 'checks') {
        values[name] = [...box.querySelectorAll('input')].filter(({ checked }) => checked).map(({ value }) => value);
        continue;
      }
      const value = /** @type {HTMLInputElement|HTMLSelectElement} */ (box.querySelector('input, select')).value.trim();
      if (value !== '') values[name] = field.type === 'number' ? asNumber(value) : value;
    }
    return values;
  }

  /** Say at a field what is wrong with it. @param {string} name @param {string} message */
  setFault(name, message) {
    const known = this.#fields.get(name.split('.')[0]);
    if (!known) return false;
    setText(known.fault, message);
    for (const input of known.box.querySelectorAll('input, select')) input.setAttribute('aria-invalid', 'true');
    return true;
  }

  async #submit() {
    if (this.button.disabled) return;
    this.#clearFaults();
    this.button.disabled = true;
    try {
      await this.send(this.values);
    } catch (error) {
      this.#tell(error);
    } finally {
      this.button.disabled = false;
    }
  }

  /** @param {unknown} error */
  #tell(error) {
    const problem = explain(error);
    const fields = error instanceof ApiError ? error.fields : [];
    const said = fields.filter(({ field, message }) => this.setFault(field, message));
    if (said.length < Math.max(1, fields.length)) this.problem.replaceChildren(problemNote(problem));
    /** @type {HTMLElement|null} */ (this.element.querySelector('[aria-invalid="true"]'))?.focus();
  }

  #clearFaults() {
    this.problem.replaceChildren();
    for (const { box, fault } of this.#fields.values()) {
      setText(fault, '');
      for (const input of box.querySelectorAll('[aria-invalid]')) input.removeAttribute('aria-invalid');
    }
  }

  /** @param {Field} field */
  #draw(field) {
    made += 1;
    const id = `field-${made}`;
    const fault = el('p', { id: `${id}-fault`, class: 'fault', role: 'alert' });
    const help = field.help && el('p', { id: `${id}-help`, class: 'help' }, field.help);
    const described = `${id}-fault${field.help ? ` ${id}-help` : ''}`;
    const box =
      field.type === 'checks'
        ? checks(field, help, fault)
        : el('div', { class: 'field' }, el('label', { for: id }, field.label), control(field, id, described), help, fault);
    this.#fields.set(field.name, { field, box, fault });
    return box;
  }
}

/** What is no number goes to the service as it is, which says what is wrong with it. @param {string} text */
export const asNumber = (text) => (Number.isFinite(Number(text)) ? Number(text) : text);

/** @param {Field} field @param {HTMLElement|''|undefined} help @param {HTMLElement} fault */
function checks({ label, options = [] }, help, fault) {
  const boxes = options.map(([value, words]) =>
    el('label', { class: 'check-field' }, el('input', { type: 'checkbox', class: 'check', value, checked: true }), words),
  );
  return el('fieldset', { class: 'field' }, el('legend', {}, label), el('div', { class: 'checks' }, ...boxes), help, fault);
}

/** @param {Field} field @param {string} id @param {string} described */
function control({ type = 'text', options = [], placeholder, value, maxlength, optional }, id, described) {
  if (type === 'select') {
    const choices = options.map(([each, words]) => el('option', { value: each, selected: each === value }, words));
    return el('div', { class: 'select' }, el('select', { id, 'aria-describedby': described }, ...choices));
  }
  return el('input', {
    id,
    class: 'input',
    type: type === 'number' ? 'text' : type,
    inputmode: type === 'number' ? 'numeric' : null,
    placeholder,
    value,
    maxlength,
    required: !optional,
    autocomplete: 'off',
    spellcheck: type === 'text',
    'aria-describedby': described,
  });
}
