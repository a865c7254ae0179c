/** Short news at the edge of the page, also read out. */

import { byId, el, icon } from './dom.js';
import { explain } from './problems.js';

const SHOWN_MS = 6000;

/** @param {string} text @param {'info'|'done'|'problem'} [kind] */
export function toast(text, kind = 'info') {
  const drawing = { info: 'info', done: 'check', problem: 'alert' }[kind];
  const box = el('div', { class: `toast toast-${kind}` }, icon(drawing), el('p', {}, text));
  const toasts = byId('toasts');
  // Shown anew each time: the newest popover lies above a dialog that was opened since.
  if (toasts.matches(':popover-open')) toasts.hidePopover();
  toasts.showPopover();
  toasts.append(box);
  setTimeout(() => {
    box.remove();
    if (!toasts.hasChildNodes()) toasts.hidePopover();
  }, SHOWN_MS);
}

/** @param {unknown} error */
export function toastProblem(error) {
  const { message, action } = explain(error);
  toast(`${message} ${action}`.trim(), 'problem');
}
