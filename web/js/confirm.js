/** Ask before something that cannot be taken back. */

import { byId, setText } from './dom.js';

/**
 * @param {{title: string, text: string, yes: string, no: string, word?: string, wordLabel?: string}} words
 *   with a `word`, yes only counts once that was typed
 * @returns {Promise<boolean>}
 */
export function confirmed({ title, text, yes, no, word = '', wordLabel = '' }) {
  const dialog = /** @type {HTMLDialogElement} */ (byId('confirm'));
  const input = /** @type {HTMLInputElement} */ (byId('confirm-word'));
  const yesButton = /** @type {HTMLButtonElement} */ (byId('confirm-yes'));
  setText(byId('confirm-title'), title);
  setText(byId('confirm-text'), text);
  setText(yesButton, yes);
  setText(byId('confirm-no'), no);
  setText(byId('confirm-word-label'), wordLabel);
  byId('confirm-word-field').hidden = !word;
  input.value = '';
  const check = () => (yesButton.disabled = word !== '' && input.value.trim() !== word);
  // Enter presses the first button, which is no.
  const press = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== 'Enter') return;
    event.preventDefault();
    if (!yesButton.disabled) dialog.close('yes');
  };
  input.addEventListener('input', check);
  input.addEventListener('keydown', press);
  check();
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => {
    const closed = () => {
      input.removeEventListener('input', check);
      input.removeEventListener('keydown', press);
      resolve(dialog.returnValue === 'yes');
    };
    dialog.addEventListener('close', closed, { once: true });
  });
}
