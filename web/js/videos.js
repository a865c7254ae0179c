/**
 * The videos that the page knows, each in its newest state. Whoever learns something puts it here; whoever shows
 * something listens: "change" ({video, before}) and "remove" ({id}).
 */

/** @typedef {import('./types.js').Video} Video */

const FINAL = new Set(['completed', 'failed', 'canceled']);

/** @param {Video} video */
export const isFinal = (video) => FINAL.has(video.status);

/** Newest first; ids break ties, as in the service's own order. @param {Video} a @param {Video} b */
export const newestFirst = (a, b) => b.created_at - a.created_at || (a.id < b.id ? 1 : -1);

export class Videos extends EventTarget {
  /** @type {Map<string, Video>} */
  #known = new Map();
  /** Answers that were under way when a video was deleted must not bring it back. @type {Set<string>} */
  #removed = new Set();
  /** Out of sight while their deletion can still be undone. @type {Set<string>} */
  #hidden = new Set();

  /** @param {string} id */
  get(id) {
    return this.#hidden.has(id) ? undefined : this.#known.get(id);
  }

  /** All that are in sight, newest first. */
  get all() {
    return [...this.#known.values()].filter(({ id }) => !this.#hidden.has(id)).sort(newestFirst);
  }

  get unfinished() {
    return this.all.filter((video) => !isFinal(video));
  }

  /** @param {Video} video */
  put(video) {
    const before = this.#known.get(video.id);
    if (this.#removed.has(video.id) || (before && isOlder(video, before))) return;
    this.#known.set(video.id, video);
    if (!this.#hidden.has(video.id)) this.#tell('change', { video, before });
  }

  /** @param {string} id */
  remove(id) {
    this.#removed.add(id);
    const wasInSight = !this.#hidden.delete(id);
    if (this.#known.delete(id) && wasInSight) this.#tell('remove', { id });
  }

  /** @param {string} id */
  hide(id) {
    this.#hidden.add(id);
    this.#tell('remove', { id });
  }

  /** @param {string} id */
  unhide(id) {
    const video = this.#known.get(id);
    if (this.#hidden.delete(id) && video) this.#tell('change', { video, before: video });
  }

  /** @param {string} name @param {object} detail */
  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/** Progress has no version of its own, and events and answers may overtake each other. @param {Video} video @param {Video} known */
const isOlder = (video, known) =>
  video.version < known.version || (video.version === known.version && video.progress < known.progress);
