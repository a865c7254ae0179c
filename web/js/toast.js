/** Short news at the edge of the page, also read out; with a button where something can be done about it. */

import { button, byId, el, icon } from './dom.js';
import { explain } from './problems.js';

/** @typedef {{label: string, run: () => void, expired?: () => void}} Action `expired` when it was not taken in time */

const SHOWN_MS = 6000;
/** Long enough to read, decide and get there. */
const ACTION_SHOWN_MS = 8000;

/**
 * @param {string} text
 * @param {'info'|'done'|'problem'} [kind]
 * @param {Action} [action]
 */
export function toast(text, kind = 'info', action) {
  const drawing = { info: 'info', done: 'check', problem: 'alert' }[kind];
  const box = el('div', { class: `toast toast-${kind}` }, icon(drawing), el('p', {}, text));
  const timer = new Countdown(box, action ? ACTION_SHOWN_MS : SHOWN_MS, () => {
    close(box);
    action?.expired?.();
  });
  if (action) {
    const take = () => {
      timer.end();
      close(box);
      action.run();
    };
    box.append(button(action.label, take));
  }
  open(box);
  timer.start();
  return box;
}

/** @param {unknown} error */
export function toastProblem(error) {
  const { message, action } = explain(error);
  toast(`${message} ${action}`.trim(), 'problem');
}

/** Runs while nobody points at the box or is in it with the keyboard. */
class Countdown {
  #timer = 0;
  #ended = false;

  /** @param {HTMLElement} box @param {number} ms @param {() => void} over */
  constructor(box, ms, over) {
    this.ms = ms;
    this.over = over;
    for (const name of ['pointerenter', 'focusin']) box.addEventListener(name, () => this.stop());
    for (const name of ['pointerleave', 'focusout']) box.addEventListener(name, () => this.start());
  }

  start() {
    this.stop();
    if (!this.#ended) this.#timer = setTimeout(() => this.#finish(), this.ms);
  }

  stop() {
    clearTimeout(this.#timer);
  }

  /** For good: a box that goes away while it has the focus loses it, which must not start anything. */
  end() {
    this.stop();
    this.#ended = true;
  }

  #finish() {
    this.end();
    this.over();
  }
}

/** @param {HTMLElement} box */
function open(box) {
  const toasts = byId('toasts');
  // Shown anew each time: the newest popover lies above a dialog that was opened since.
  if (toasts.matches(':popover-open')) toasts.hidePopover();
  toasts.showPopover();
  toasts.append(box);
}

/** @param {HTMLElement} box */
function close(box) {
  const toasts = byId('toasts');
  box.remove();
  if (!toasts.hasChildNodes() && toasts.matches(':popover-open')) toasts.hidePopover();
}
