/** Short news at the edge of the page, also read out. */

import { byId, el, icon } from './dom.js';
import { explain } from './problems.js';

const SHOWN_MS = 6000;

/** @param {string} text @param {'info'|'done'|'problem'} [kind] */
export function toast(text, kind = 'info') {
  const drawing = { info: 'info', done: 'check', problem: 'alert' }[kind];
  const box = el('div', { class: `toast toast-${kind}` }, icon(drawing), el('p', {}, text));
  byId('toasts').append(box);
  setTimeout(() => box.remove(), SHOWN_MS);
}

/** @param {unknown} error */
export function toastProblem(error) {
  const { message, action } = explain(error);
  toast(`${message} ${action}`.trim(), 'problem');
}
