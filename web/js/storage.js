/** What the page remembers in this browser, as JSON. Where storage is forbidden it remembers until it is closed. */

const PREFIX = 'rushes.';
/** @type {Map<string, string>} */
const memory = new Map();

/**
 * @template T
 * @param {string} name
 * @param {T} otherwise when nothing readable is kept under the name
 * @returns {T}
 */
export function recall(name, otherwise) {
  try {
    const text = memory.get(name) ?? localStorage.getItem(PREFIX + name);
    return text === null ? otherwise : JSON.parse(text);
  } catch {
    // Forbidden storage or text that another version wrote: neither may keep the page from starting.
    return otherwise;
  }
}

/** @param {string} name @param {unknown} value */
export function remember(name, value) {
  const text = JSON.stringify(value);
  try {
    localStorage.setItem(PREFIX + name, text);
    memory.delete(name);
  } catch {
    // Full or forbidden.
    memory.set(name, text);
  }
}

/** @param {string} name */
export function forget(name) {
  memory.delete(name);
  try {
    localStorage.removeItem(PREFIX + name);
  } catch {
    // Forbidden storage holds nothing to remove.
  }
}

/** Call when another tab changes what is kept under the name. @param {string} name @param {() => void} listener */
export function onChangeElsewhere(name, listener) {
  addEventListener('storage', (event) => {
    if (event.key === PREFIX + name || event.key === null) listener();
  });
}
