/** What there is to say of a video, as pairs of a name and a value. */

import { dateTime, dimensions, duration, fileSize, modelName, number } from './format.js';
import { strings } from './strings.js';

/** @typedef {import('./types.js').Video} Video */

const words = strings.player;

/** @param {Video} video @param {number} index which of its files @returns {[string, string][]} */
export function facts(video, index) {
  const file = video.files[index];
  const images = (video.inputs ?? []).map(({ role }) => words.inputs[role]).join(', ');
  /** @type {[string, string|null|false|undefined][]} */
  const all = [
    [words.model, modelName(video.model)],
    [words.length, duration(Number(video.seconds))],
    [words.size, dimensions(file ? `${file.width}x${file.height}` : video.size)],
    [words.sound, video.generate_audio ? words.soundOn : words.soundOff],
    [words.extended, video.extends && words.extendedFrom],
    [words.images, images],
    [words.negative, video.negative_prompt],
    [words.seed, video.seed === null ? null : String(video.seed)],
    [words.project, video.project],
    [words.made, dateTime(video.created_at)],
    [words.took, video.completed_at !== null && duration(video.completed_at - video.created_at)],
    [words.cost, strings.compose.credits(number(video.cost), video.cost)],
    [words.returned, video.refunded > 0 && strings.compose.credits(number(video.refunded), video.refunded)],
    [words.file, file && fileSize(file.size_bytes)],
    [words.keptUntil, video.expires_at !== null && dateTime(video.expires_at)],
  ];
  return /** @type {[string, string][]} */ (all.filter(([, value]) => value));
}
