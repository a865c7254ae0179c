/** Something that is shown once: to be copied now. */

import { copy } from '../clipboard.js';
import { button, el } from '../dom.js';
import { strings } from '../strings.js';

/** @param {string} words @param {string} secret @param {string} done @param {() => void} [taken] */
export function secretNote(words, secret, done, taken) {
  const note = el(
    'div',
    { class: 'secret', role: 'group', 'aria-label': words },
    el('p', { role: 'status' }, words),
    el('code', { tabindex: 0 }, secret),
    el(
      'div',
      { class: 'buttons' },
      button(strings.app.copy, () => void copy(secret), 'button-small button-primary'),
      button(done, () => {
        note.remove();
        taken?.();
      }),
    ),
  );
  return note;
}
