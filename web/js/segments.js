/** A row of exclusive choices: radio buttons that look like one control, with the reasons of those that are barred. */

import { el, icon } from './dom.js';

/** @typedef {import('./models.js').Choice} Choice */

export class Segments {
  /**
   * @param {HTMLFieldSetElement} fieldset holds .segments and .reason
   * @param {string} name
   * @param {(value: string) => void} chosen
   */
  constructor(fieldset, name, chosen) {
    this.name = name;
    this.row = /** @type {HTMLElement} */ (fieldset.querySelector('.segments'));
    this.reason = /** @type {HTMLElement} */ (fieldset.querySelector('.reason'));
    this.drawn = '';
    this.row.addEventListener('change', (event) => chosen(/** @type {HTMLInputElement} */ (event.target).value));
  }

  /** @param {Choice[]} choices @param {string} value */
  show(choices, value) {
    // Redrawing would take the keyboard's place away, so it happens only when the choices are others.
    const drawn = JSON.stringify(choices);
    if (drawn !== this.drawn) {
      this.drawn = drawn;
      this.#draw(choices);
    }
    for (const input of this.row.querySelectorAll('input')) input.checked = input.value === value;
  }

  /** @param {Choice[]} choices */
  #draw(choices) {
    const focused = /** @type {HTMLInputElement|null} */ (this.row.querySelector('input:focus'))?.value;
    this.row.replaceChildren(
      ...choices.map(({ value, label, icon: drawing, reason }) =>
        el(
          'label',
          { class: 'segment', title: reason },
          el('input', { type: 'radio', name: this.name, value, disabled: Boolean(reason) }),
          el('span', {}, drawing ? icon(drawing) : null, label),
        ),
      ),
    );
    this.reason.textContent = [...new Set(choices.flatMap(({ reason }) => reason ?? []))].join(' ');
    if (focused) /** @type {HTMLInputElement|null} */ (this.row.querySelector(`input[value="${focused}"]:enabled`))?.focus();
  }
}
