/** Something in front of the room: a dialog with a heading, which is gone once it is closed. */

import { el, iconButton } from '../dom.js';
import { strings } from '../strings.js';

let made = 0;

/** @param {string} title @param {...(Node|string|null|false)} content */
export function openSheet(title, ...content) {
  made += 1;
  const id = `sheet-${made}`;
  const dialog = el(
    'dialog',
    { class: 'sheet sheet-wide', 'aria-labelledby': id },
    el(
      'div',
      { class: 'sheet-body' },
      el('div', { class: 'sheet-head' }, el('h2', { id }, title), iconButton('close', strings.app.close, () => dialog.close())),
      ...content,
    ),
  );
  dialog.addEventListener('close', () => dialog.remove());
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close();
  });
  // Whoever goes elsewhere does not take it along.
  addEventListener('hashchange', () => dialog.close(), { once: true });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
