/** Files that outlive a reload, in this browser's IndexedDB. Where that is forbidden they live as long as the page. */

const DATABASE = 'rushes';
const STORE = 'blobs';
/** @type {Map<string, unknown>} */
const memory = new Map();
/** @type {Promise<IDBDatabase>|null} */
let opening = null;

/** @template T @param {string} name @param {T} otherwise @returns {Promise<T>} */
export async function recallBlobs(name, otherwise) {
  try {
    return (await request('readonly', (store) => store.get(name))) ?? otherwise;
  } catch {
    return /** @type {T} */ (memory.get(name) ?? otherwise);
  }
}

/** Resolves once it is kept. @param {string} name @param {unknown} value Blobs, and what holds them */
export async function rememberBlobs(name, value) {
  try {
    await request('readwrite', (store) => store.put(value, name));
    memory.delete(name);
  } catch {
    // Full or forbidden.
    memory.set(name, value);
  }
}

/** @param {IDBTransactionMode} mode @param {(store: IDBObjectStore) => IDBRequest} act @returns {Promise<any>} */
async function request(mode, act) {
  opening ??= open();
  const transaction = (await opening).transaction(STORE, mode);
  // A write that succeeded is still lost if the page goes before its transaction is complete.
  const completed = mode === 'readwrite' ? ended(transaction) : null;
  const [result] = await Promise.all([settled(act(transaction.objectStore(STORE))), completed]);
  return result;
}

/** @param {IDBTransaction} transaction @returns {Promise<void>} */
const ended = (transaction) =>
  new Promise((resolve, reject) => {
    transaction.addEventListener('complete', () => resolve());
    transaction.addEventListener('abort', () => reject(transaction.error));
  });

/** @returns {Promise<IDBDatabase>} */
function open() {
  const asked = indexedDB.open(DATABASE, 1);
  asked.addEventListener('upgradeneeded', () => asked.result.createObjectStore(STORE));
  return settled(asked);
}

/** @template T @param {IDBRequest<T>} asked @returns {Promise<T>} */
const settled = (asked) =>
  new Promise((resolve, reject) => {
    asked.addEventListener('success', () => resolve(asked.result));
    asked.addEventListener('error', () => reject(asked.error));
  });
