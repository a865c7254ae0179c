/** Copying a text, with a word of what came of it. */

import { strings } from './strings.js';
import { toast } from './toast.js';

/** @param {string} text @param {string} [said] */
export async function copy(text, said = strings.app.copied) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Forbidden, or a page that did not come over https.
    toast(strings.app.notCopied, 'problem');
    return;
  }
  toast(said, 'done');
}
