/** What is fetched only when it is first needed: most visits never do. */

import { el } from './dom.js';
import { strings } from './strings.js';
import { toast } from './toast.js';

/**
 * The module, or null after having said that nobody answers.
 * @template T
 * @param {() => Promise<T>} fetching such as () => import('./player.js')
 * @returns {Promise<T|null>}
 */
export async function needed(fetching) {
  try {
    return await fetching();
  } catch (error) {
    // What a module that did not come is reported as.
    if (!(error instanceof TypeError)) throw error;
    const { message, action } = strings.problems.offline;
    toast(`${message} ${action}`, 'problem');
    return null;
  }
}

/** A style sheet that is there before what it is for is shown. Raises TypeError, as an import does. @param {string} href */
export async function styled(href) {
  if (document.querySelector(`link[rel="stylesheet"][href="${href}"]`)) return;
  const link = el('link', { rel: 'stylesheet', href });
  await new Promise((loaded, failed) => {
    link.addEventListener('load', loaded);
    link.addEventListener('error', () => {
      link.remove();
      failed(new TypeError(`${href} did not load`));
    });
    document.head.append(link);
  });
}
