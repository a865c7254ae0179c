/**
 * Where one is, by the address after #: / (create), /videos (the library; beside the form where there is room), /videos/ID
 * (the player over it), /account/SECTION, /admin/SECTION.
 */

/** @typedef {'create'|'videos'|'video'|'account'|'admin'} Room */
/** @typedef {{room: Room, id: string}} Place `id` is the video's or the section's, or empty */

export const CREATE = '#/';
export const VIDEOS = '#/videos';

/** @returns {Place} */
export function here() {
  const [, room, id = ''] = location.hash.split('/');
  if (room === 'videos') return { room: id ? 'video' : 'videos', id: decoded(id) };
  if (room === 'account' || room === 'admin') return { room, id: decoded(id) };
  return { room: 'create', id: '' };
}

/** @param {string} id */
export const toVideo = (id) => `${VIDEOS}/${encodeURIComponent(id)}`;

/** @param {string} hash */
export function go(hash) {
  if (location.hash !== hash) location.hash = hash;
}

/** @param {(place: Place) => void} listener */
export function onMove(listener) {
  addEventListener('hashchange', () => listener(here()));
}

/** @param {string} id */
function decoded(id) {
  try {
    return decodeURIComponent(id);
  } catch {
    // Somebody cut the address short in the middle of a character.
    return id;
  }
}
