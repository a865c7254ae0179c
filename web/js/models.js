/** What each model can do, and hence what may be chosen: pure functions of the list of models and the settings. */

import { either, modelName } from './format.js';
import { strings } from './strings.js';

/**
 * @typedef {import('./types.js').Model} Model
 * @typedef {import('./types.js').AspectRatio} AspectRatio
 * @typedef {import('./types.js').Resolution} Resolution
 *
 * @typedef {object} Settings everything of the form but its texts
 * @property {string} model
 * @property {AspectRatio} aspect_ratio
 * @property {Resolution} resolution
 * @property {number} seconds
 * @property {boolean} generate_audio
 * @property {number} count
 *
 * @typedef {object} Choice
 * @property {string} value
 * @property {string} label
 * @property {string} [icon]
 * @property {string} [reason] why it cannot be chosen
 */

/** The short side of a frame, in pixels. @type {Record<string, Resolution>} */
const RESOLUTION_OF = { 360: '360p', 720: '720p', 1080: '1080p', 2160: '4k' };
/** @type {Resolution[]} */
const RESOLUTIONS = ['360p', '720p', '1080p', '4k'];
/** @type {AspectRatio[]} */
const RATIOS = ['16:9', '9:16'];
const HIGH_FROM = RESOLUTIONS.indexOf('1080p');

const words = strings.compose;

/** @param {string} size @returns {{aspect_ratio: AspectRatio, resolution: Resolution}} */
export function shapeOf(size) {
  const [width, height] = size.split('x').map(Number);
  return {
    aspect_ratio: width >= height ? '16:9' : '9:16',
    resolution: RESOLUTION_OF[Math.min(width, height)] ?? '720p',
  };
}

/** @param {Model[]} models @param {string} [id] */
export const modelOf = (models, id) =>
  models.find((model) => model.id === id) ?? models.find((model) => model.default) ?? models[0];

/** The nearest settings that the model can do. @param {Model} model @param {Partial<Settings>} wish @returns {Settings} */
export function fit(model, wish) {
  const usual = shapeOf(model.default_size);
  const shapes = model.sizes.map(shapeOf);
  const has = (/** @type {Partial<Settings>} */ { aspect_ratio, resolution }) =>
    shapes.some((shape) => shape.aspect_ratio === aspect_ratio && shape.resolution === resolution);
  const aspect_ratio = shapes.some((shape) => shape.aspect_ratio === wish.aspect_ratio) ? wish.aspect_ratio : usual.aspect_ratio;
  const within = shapes.filter((shape) => shape.aspect_ratio === aspect_ratio);
  const resolution = has({ aspect_ratio, resolution: wish.resolution })
    ? wish.resolution
    : (within.find((shape) => shape.resolution === usual.resolution) ?? within[0]).resolution;
  const lengths = lengthsAt(model, /** @type {Resolution} */ (resolution));
  return {
    model: model.id,
    aspect_ratio: /** @type {AspectRatio} */ (aspect_ratio),
    resolution: /** @type {Resolution} */ (resolution),
    seconds: nearest(lengths, wish.seconds ?? model.default_seconds),
    generate_audio: !model.silent || (wish.generate_audio ?? true),
    count: Math.min(Math.max(1, wish.count ?? 1), model.max_count),
  };
}

/** @param {Model[]} models @param {Model} model @returns {Choice[]} */
export function orientationChoices(models, model) {
  const own = new Set(model.sizes.map((size) => shapeOf(size).aspect_ratio));
  const any = new Set(models.flatMap(({ sizes }) => sizes.map((size) => shapeOf(size).aspect_ratio)));
  return RATIOS.filter((ratio) => any.has(ratio)).map((ratio) => ({
    value: ratio,
    label: words.orientations[ratio],
    icon: ratio === '16:9' ? 'landscape' : 'portrait',
    reason: own.has(ratio) ? undefined : notOffered(model, words.reasons.orientation(words.orientations[ratio])),
  }));
}

/** @param {Model[]} models @param {Model} model @param {AspectRatio} ratio @returns {Choice[]} */
export function resolutionChoices(models, model, ratio) {
  const shapes = model.sizes.map(shapeOf);
  const any = new Set(models.flatMap(({ sizes }) => sizes.map((size) => shapeOf(size).resolution)));
  const own = new Set(shapes.filter((shape) => shape.aspect_ratio === ratio).map((shape) => shape.resolution));
  const reason = notOffered(model, either([...any].filter((resolution) => !own.has(resolution))));
  return RESOLUTIONS.filter((resolution) => any.has(resolution)).map((resolution) => ({
    value: resolution,
    label: resolution,
    reason: own.has(resolution) ? undefined : reason,
  }));
}

/** @param {Model} model @param {Resolution} resolution @returns {Choice[]} */
export function lengthChoices(model, resolution) {
  const allowed = lengthsAt(model, resolution);
  const list = either(allowed.map(words.secondsOption));
  return model.seconds.map((seconds) => ({
    value: String(seconds),
    label: words.secondsOption(seconds),
    reason: allowed.includes(seconds) ? undefined : words.reasons.highResolution(resolution, list),
  }));
}

/** @param {Model} model @returns {Choice[]} */
export const countChoices = (model) =>
  Array.from({ length: model.max_count }, (_, i) => ({ value: String(i + 1), label: String(i + 1) }));

/** What the list of models says of the price, until the service has said it. @param {Model} model @param {Settings} settings */
export const listPrice = (model, { seconds, count }) => model.credits_per_second * seconds * count;

/** @param {Model} model @param {Resolution} resolution */
function lengthsAt(model, resolution) {
  const high = RESOLUTIONS.indexOf(resolution) >= HIGH_FROM;
  return high && model.seconds_at_high_resolution.length ? model.seconds_at_high_resolution : model.seconds;
}

/** @param {number[]} values @param {number} wish */
const nearest = (values, wish) => values.reduce((best, value) => (Math.abs(value - wish) < Math.abs(best - wish) ? value : best));

/** @param {Model} model @param {string} what */
const notOffered = (model, what) => words.reasons.notOffered(modelName(model.id), what);
