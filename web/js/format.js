/** Numbers, times and names as people read them. */

const LOCALE = 'en';
const integer = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const signed = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0, signDisplay: 'exceptZero' });
const decimal = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 1 });
const alternatives = new Intl.ListFormat(LOCALE, { type: 'disjunction' });
const relative = new Intl.RelativeTimeFormat(LOCALE, { numeric: 'auto' });
const day = new Intl.DateTimeFormat(LOCALE, { dateStyle: 'medium' });
const shortDay = new Intl.DateTimeFormat(LOCALE, { month: 'short', day: 'numeric' });
const moment = new Intl.DateTimeFormat(LOCALE, { dateStyle: 'medium', timeStyle: 'short' });

export const MAX_PROMPT_TOKENS = 1024;
const BYTES_PER_TOKEN = 4;
const encoder = new TextEncoder();

/** Tokens as the service counts them: a quarter of the UTF-8 bytes, rounded up. @param {string} text */
export const tokens = (text) => Math.ceil(encoder.encode(text).length / BYTES_PER_TOKEN);

/** With a true minus. @param {number} n */
export const number = (n) => integer.format(n).replace('-', '−');

/** With its sign, and a true minus. @param {number} n */
export const change = (n) => signed.format(n).replace('-', '−');

/** A length of time in words: "45 s", "1 min 20 s". @param {number} seconds */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const rest = whole % 60;
  return rest ? `${Math.floor(whole / 60)} min ${rest} s` : `${Math.floor(whole / 60)} min`;
}

/** Elapsed time as a clock: "0:07", "12:40". @param {number} seconds */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

/** @param {number} at Unix seconds @param {number} now Unix seconds @param {string} justNow */
export function ago(at, now, justNow) {
  const past_s = Math.max(0, now - at);
  if (past_s < 60) return justNow;
  if (past_s < 3600) return relative.format(-Math.floor(past_s / 60), 'minute');
  if (past_s < 86_400) return relative.format(-Math.floor(past_s / 3600), 'hour');
  if (past_s < 7 * 86_400) return relative.format(-Math.floor(past_s / 86_400), 'day');
  return day.format(at * 1000);
}

/** @param {number} at Unix seconds */
export const date = (at) => day.format(at * 1000);

/** Without the year, for the axis of a plot. @param {number} at Unix seconds */
export const dayAndMonth = (at) => shortDay.format(at * 1000);

/** @param {number} at Unix seconds */
export const dateTime = (at) => moment.format(at * 1000);

/** @param {number} at Unix seconds */
export const iso = (at) => new Date(at * 1000).toISOString();

/** The day as "2026-11-25", in this reader's time zone. @param {number} at Unix seconds */
export function dayKey(at) {
  const moment = new Date(at * 1000);
  return [moment.getFullYear(), moment.getMonth() + 1, moment.getDate()].map((part) => String(part).padStart(2, '0')).join('-');
}

/** "a, b or c". @param {string[]} options */
export const either = (options) => alternatives.format(options);

/** @param {number} bytes */
export const fileSize = (bytes) =>
  bytes < 1_000_000 ? `${integer.format(Math.ceil(bytes / 1000))} kB` : `${decimal.format(bytes / 1_000_000)} MB`;

/** "veo-3.1-fast" reads "Veo 3.1 Fast". @param {string} id */
export const modelName = (id) =>
  id
    .split('-')
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join(' ');

/** "1280x720" reads "1280 × 720". @param {string} size */
export const dimensions = (size) => size.replace('x', ' × ');

/** For a line of its own or a message: at most so many characters. @param {string} text @param {number} [most] */
export const shortened = (text, most = 60) => (text.length > most ? `${text.slice(0, most - 1).trimEnd()}…` : text);

/** A file name that says what the video shows. @param {string} prompt @param {number} index */
export function fileName(prompt, index) {
  const words = prompt.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  const stem = words.slice(0, 8).join('-').slice(0, 60) || 'video';
  return `${stem}${index ? `-${index + 1}` : ''}.mp4`;
}
