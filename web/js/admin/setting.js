/** One live setting as a field: what is stored, what holds otherwise, and what is wrong with it. */

import { button, el, iconButton, setText } from '../dom.js';
import { asNumber } from '../components/form.js';
import { strings } from '../strings.js';
import { adminStrings } from './strings.js';

/**
 * @typedef {object} Kind
 * @property {'switch'|'number'|'text'|'choice'|'map'} type
 * @property {string[]} [choices]
 * @property {[string, 'text'|'number'|'switch'][]} [columns] of a map: its name, then its values
 */

const words = adminStrings.settings;

export class Setting {
  /**
   * @param {string} name as the service names it
   * @param {Kind} kind
   * @param {any} stored undefined: as by default
   * @param {any} byDefault
   */
  constructor(name, kind, stored, byDefault) {
    this.name = name;
    this.kind = kind;
    this.fault = el('p', { id: `setting-${name}-fault`, class: 'fault', role: 'alert' });
    const label = words.labels[/** @type {'message'} */ (name)];
    this.element =
      kind.type === 'map'
        ? el('fieldset', { class: 'field setting-map' }, el('legend', {}, label), this.#rows(stored ?? {}), this.fault)
        : el('div', { class: 'field' }, el('label', { for: `setting-${name}` }, label), this.#control(stored, byDefault), this.fault);
  }

  /** What is to be stored; undefined: nothing, so that the default holds. */
  get value() {
    if (this.kind.type === 'map') return this.#mapValue();
    const { value } = /** @type {HTMLInputElement|HTMLSelectElement} */ (this.element.querySelector('input, select'));
    if (value.trim() === '') return undefined;
    if (this.kind.type === 'switch') return value === 'true';
    return this.kind.type === 'number' ? asNumber(value) : value.trim();
  }

  /** @param {string} message empty: nothing is wrong */
  setFault(message) {
    setText(this.fault, message);
    for (const input of this.element.querySelectorAll('input, select')) {
      if (message) input.setAttribute('aria-invalid', 'true');
      else input.removeAttribute('aria-invalid');
    }
  }

  focus() {
    /** @type {HTMLElement|null} */ (this.element.querySelector('input, select, button'))?.focus();
  }

  /** @param {any} stored @param {any} byDefault */
  #control(stored, byDefault) {
    const shared = { id: `setting-${this.name}`, 'aria-describedby': `setting-${this.name}-fault` };
    const preset = words.byDefault(said(byDefault));
    const given = stored === undefined || stored === null ? '' : String(stored);
    if (this.kind.type === 'number' || this.kind.type === 'text') {
      const inputmode = this.kind.type === 'number' ? 'numeric' : null;
      return el('input', { ...shared, class: 'input', value: given, placeholder: preset, inputmode, autocomplete: 'off' });
    }
    const values = this.kind.type === 'switch' ? ['true', 'false'] : (this.kind.choices ?? []);
    const options = values.map((value) => el('option', { value, selected: value === given }, said(value)));
    return el('div', { class: 'select' }, el('select', shared, el('option', { value: '' }, preset), ...options));
  }

  // --- maps, a line for each entry ---

  /** @param {Record<string, any>} stored */
  #rows(stored) {
    this.lines = el('div', { class: 'stack-small' });
    for (const [name, value] of Object.entries(stored)) this.#addLine(name, value);
    const add = button(words.addRow, () => {
      this.#addLine('', {});
      /** @type {HTMLElement|null|undefined} */ (this.lines?.lastElementChild?.querySelector('input'))?.focus();
    });
    return el('div', { class: 'stack-small' }, this.lines, el('div', { class: 'buttons' }, add));
  }

  /** @param {string} name @param {any} value */
  #addLine(name, value) {
    const [, ...columns] = this.kind.columns ?? [];
    const cells = (this.kind.columns ?? []).map(([column, type], at) => {
      const given = at === 0 ? name : columns.length > 1 ? value?.[column] : typeof value === 'object' ? '' : value;
      return cell(column, type, given ?? '');
    });
    const line = el('div', { class: 'setting-line' }, ...cells, iconButton('trash', words.removeRow, () => line.remove()));
    this.lines?.append(line);
  }

  #mapValue() {
    const [, ...columns] = this.kind.columns ?? [];
    /** @type {[string, any][]} */
    const entries = [...(this.lines?.children ?? [])].map((line) => {
      const [name, ...values] = [...line.querySelectorAll('input, select')].map((input) => /** @type {HTMLInputElement} */ (input).value.trim());
      const typed = columns.map(([column, type], at) => /** @type {[string, any]} */ ([column, asTyped(type, values[at])]));
      const given = typed.filter(([, value]) => value !== undefined);
      // Of one column the value itself, of several an object of those that are given.
      return [name, columns.length > 1 ? Object.fromEntries(given) : (given[0]?.[1] ?? '')];
    });
    return entries.length ? Object.fromEntries(entries) : undefined;
  }
}

/** @param {string} column @param {'text'|'number'|'switch'} type @param {any} value */
function cell(column, type, value) {
  const label = words.columns[/** @type {'plan'} */ (column)];
  if (type === 'switch') {
    const options = [['', strings.app.none], ['true', words.on], ['false', words.off]];
    const choices = options.map(([each, name]) => el('option', { value: each, selected: each === String(value) }, name));
    return el('label', {}, el('span', {}, label), el('span', { class: 'select select-small' }, el('select', {}, ...choices)));
  }
  return el(
    'label',
    {},
    el('span', {}, label),
    el('input', { class: 'input input-small', value: String(value), inputmode: type === 'number' ? 'numeric' : null, autocomplete: 'off' }),
  );
}

/** @param {'text'|'number'|'switch'} type @param {string} value */
function asTyped(type, value) {
  if (value === '') return undefined;
  if (type === 'switch') return value === 'true';
  return type === 'number' ? asNumber(value) : value;
}

/** @param {any} value */
function said(value) {
  if (value === null || value === '') return words.nothing;
  if (typeof value === 'boolean') return value ? words.on : words.off;
  if (value === 'true' || value === 'false') return value === 'true' ? words.on : words.off;
  return words.choices[/** @type {'full'} */ (value)] ?? String(value);
}
