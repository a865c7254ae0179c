/** Where in the studio one is: #/ (studio), #/account, #/videos/ID (the player over the studio). */

/** @typedef {{name: 'studio'|'account'|'video', id: string}} Place */

/** @returns {Place} */
export function here() {
  const [, room, id] = location.hash.split('/');
  if (room === 'account') return { name: 'account', id: '' };
  if (room === 'videos' && id) return { name: 'video', id: decodeURIComponent(id) };
  return { name: 'studio', id: '' };
}

/** @param {string} id */
export const toVideo = (id) => `#/videos/${encodeURIComponent(id)}`;
export const STUDIO = '#/';
export const ACCOUNT = '#/account';

/** @param {string} hash */
export function go(hash) {
  if (location.hash !== hash) location.hash = hash;
}

/** @param {(place: Place) => void} listener */
export function onMove(listener) {
  addEventListener('hashchange', () => listener(here()));
}
