/** A file that the page holds, into the folder where this browser puts files. */

import { el } from './dom.js';

/** Some browsers read the file only after the click was handled. */
const KEPT_MS = 60_000;

/** @param {Blob} blob @param {string} name */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  el('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), KEPT_MS);
}
