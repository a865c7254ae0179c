/** What can be said of a tenant's videos: pure functions of a list of them. */

import { dayAndMonth, dayKey } from '../format.js';

/** @typedef {import('../types.js').TenantVideo} TenantVideo */

/** How long it took from the wish to the video, in seconds. @param {TenantVideo} video */
export const took_s = ({ completed_at, created_at }) => (completed_at ?? created_at) - created_at;

/** @param {TenantVideo[]} videos @param {string} status */
export const withStatus = (videos, status) => videos.filter((video) => video.status === status);

/** Of those that were not canceled, the share that was made; null when none has ended. @param {TenantVideo[]} videos */
export function successRate(videos) {
  const made = withStatus(videos, 'completed').length;
  const failed = withStatus(videos, 'failed').length;
  return made + failed ? made / (made + failed) : null;
}

/** The value below which that share of the values lies (nearest rank); null of none. @param {number[]} values @param {number} share */
export function quantile(values, share) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

/** How many ended on each day, in the order of the days, by status. @param {TenantVideo[]} videos @param {string[]} statuses @param {number} days @param {number} now_s */
export function endedByDay(videos, statuses, days, now_s) {
  const ended = videos.filter(({ completed_at }) => completed_at !== null);
  return Array.from({ length: days }, (_, at) => {
    const day_s = now_s - (days - 1 - at) * 86_400;
    const key = dayKey(day_s);
    const ofDay = ended.filter(({ completed_at }) => dayKey(/** @type {number} */ (completed_at)) === key);
    return { label: dayAndMonth(day_s), values: statuses.map((status) => withStatus(ofDay, status).length) };
  });
}

/** Each reason of a failure and how often, the most frequent first. @param {TenantVideo[]} videos @returns {[string, number][]} */
export function failures(videos) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const { error } of withStatus(videos, 'failed')) {
    const said = error?.message ?? '';
    counts.set(said, (counts.get(said) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a);
}
