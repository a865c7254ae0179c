/** URLs that play without a header for some minutes; asked for once and used again while they last. */

const SPARE_s = 30;

export class SignedUrls {
  /** @type {Map<string, import('./types.js').SignedUrl>} */
  #kept = new Map();

  /** @param {import('./api.js').Api} api */
  constructor(api) {
    this.api = api;
  }

  /**
   * Raises ApiError.
   * @param {string} id
   * @param {'video'|'thumbnail'} variant
   * @param {number} [index] which of the video's files
   * @param {boolean} [fresh] the kept one does not work
   */
  async of(id, variant, index = 0, fresh = false) {
    const name = `${variant} ${index} ${id}`;
    const kept = this.#kept.get(name);
    if (kept && !fresh && kept.expires_at - SPARE_s > this.api.now_s) return kept.url;
    const signed = await this.api.contentUrl(id, variant, index);
    this.#kept.set(name, signed);
    return signed.url;
  }
}
