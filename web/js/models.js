/** What each model can do, and hence what may be chosen: pure functions of the list of models and the settings. */

import { either, modelName } from './format.js';
import { strings } from './strings.js';

/**
 * @typedef {import('./types.js').Model} Model
 * @typedef {import('./types.js').AspectRatio} AspectRatio
 * @typedef {import('./types.js').Resolution} Resolution
 * @typedef {import('./types.js').Video} Video
 *
 * @typedef {object} Settings everything of the form but its texts
 * @property {string} model
 * @property {AspectRatio} aspect_ratio
 * @property {Resolution} resolution
 * @property {number} seconds
 * @property {boolean} generate_audio
 * @property {number} count
 *
 * @typedef {object} Material what the video is made from besides words
 * @property {Video|null} source the video that it goes on from
 * @property {boolean} references whether there are reference images
 * @property {boolean} lastFrame whether there is a last frame
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

/** @type {Material} */
export const NOTHING = { source: null, references: false, lastFrame: false };

/** @param {string} size @returns {{aspect_ratio: AspectRatio, resolution: Resolution}} */
export function shapeOf(size) {
  const [width, height] = size.split('x').map(Number);
  return {
    aspect_ratio: width >= height ? '16:9' : '9:16',
    resolution: RESOLUTION_OF[Math.min(width, height)] ?? '720p',
  };
}

/** The wanted model, or the nearest that can go on from the source. @param {Model[]} models @param {string} [id] @param {Video|null} [source] */
export function modelOf(models, id, source = null) {
  const able = source ? models.filter((model) => canExtend(model, source)) : models;
  const among = able.length ? able : models;
  return (
    among.find((model) => model.id === id) ??
    among.find((model) => model.id === source?.model) ??
    among.find((model) => model.default) ??
    among[0]
  );
}

/** @param {Model} model @param {Video} source */
export function canExtend({ extension }, source) {
  const seconds = source.files[0]?.seconds ?? Number(source.seconds);
  return (
    source.status === 'completed' &&
    extension !== null &&
    extension.resolutions.includes(source.resolution) &&
    Math.round(seconds) >= extension.min_source_seconds &&
    Math.round(seconds) <= extension.max_source_seconds &&
    Math.round(seconds) + Math.min(...extension.seconds) <= extension.max_total_seconds
  );
}

/** The nearest settings that the model can do. @param {Model} model @param {Partial<Settings>} wish @param {Material} material @returns {Settings} */
export function fit(model, wish, material) {
  const shape = material.source ?? fitShape(model, wish);
  return {
    model: model.id,
    aspect_ratio: shape.aspect_ratio,
    resolution: shape.resolution,
    seconds: nearest(lengthsAt(model, shape.resolution, material), wish.seconds ?? model.default_seconds),
    generate_audio: !model.silent || (wish.generate_audio ?? true),
    count: Math.min(Math.max(1, wish.count ?? 1), model.max_count),
  };
}

/** @param {Model} model @param {Partial<Settings>} wish */
function fitShape(model, wish) {
  const usual = shapeOf(model.default_size);
  const shapes = model.sizes.map(shapeOf);
  const ratios = shapes.map(({ aspect_ratio }) => aspect_ratio);
  const aspect_ratio = wish.aspect_ratio && ratios.includes(wish.aspect_ratio) ? wish.aspect_ratio : usual.aspect_ratio;
  const within = shapes.filter((shape) => shape.aspect_ratio === aspect_ratio);
  const of = (/** @type {Resolution|undefined} */ resolution) => within.find((shape) => shape.resolution === resolution);
  return of(wish.resolution) ?? of(usual.resolution) ?? within[0];
}

/** @param {Model[]} models @param {Model} model @param {Material} material @returns {Choice[]} */
export function orientationChoices(models, model, { source }) {
  const own = new Set(model.sizes.map((size) => shapeOf(size).aspect_ratio));
  const any = new Set(models.flatMap(({ sizes }) => sizes.map((size) => shapeOf(size).aspect_ratio)));
  return RATIOS.filter((ratio) => any.has(ratio)).map((ratio) => ({
    value: ratio,
    label: words.orientations[ratio],
    icon: ratio === '16:9' ? 'landscape' : 'portrait',
    reason: source
      ? unless(ratio === source.aspect_ratio, words.reasons.extension)
      : unless(own.has(ratio), notOffered(model, words.reasons.orientation(words.orientations[ratio]))),
  }));
}

/** @param {Model[]} models @param {Model} model @param {AspectRatio} ratio @param {Material} material @returns {Choice[]} */
export function resolutionChoices(models, model, ratio, { source }) {
  const shapes = model.sizes.map(shapeOf);
  const any = new Set(models.flatMap(({ sizes }) => sizes.map((size) => shapeOf(size).resolution)));
  const own = new Set(shapes.filter((shape) => shape.aspect_ratio === ratio).map((shape) => shape.resolution));
  const reason = notOffered(model, either(RESOLUTIONS.filter((resolution) => any.has(resolution) && !own.has(resolution))));
  return RESOLUTIONS.filter((resolution) => any.has(resolution)).map((resolution) => ({
    value: resolution,
    label: resolution,
    reason: source ? unless(resolution === source.resolution, words.reasons.extension) : unless(own.has(resolution), reason),
  }));
}

/** @param {Model} model @param {Resolution} resolution @param {Material} material @returns {Choice[]} */
export function lengthChoices(model, resolution, material) {
  const allowed = lengthsAt(model, resolution, material);
  const list = either(allowed.map(words.secondsOption));
  const all = material.source ? allowed : model.seconds;
  const why = whyNotEvery(resolution, material, list);
  return all.map((seconds) => ({
    value: String(seconds),
    label: material.source ? words.addedOption(seconds) : words.secondsOption(seconds),
    reason: unless(allowed.includes(seconds), why),
  }));
}

/** @param {Resolution} resolution @param {Material} material @param {string} list */
function whyNotEvery(resolution, { references, lastFrame }, list) {
  if (references) return words.reasons.references(list);
  return lastFrame ? words.reasons.lastFrame(list) : words.reasons.highResolution(resolution, list);
}

/** @param {Model} model @returns {Choice[]} */
export const countChoices = (model) =>
  Array.from({ length: model.max_count }, (_, i) => ({ value: String(i + 1), label: String(i + 1) }));

/** What the list of models says of the price, until the service has said it. @param {Model} model @param {Settings} settings @param {Material} material */
export function listPrice(model, { resolution, seconds, count }, { source }) {
  return pricePerSecond(model, resolution, source) * seconds * count;
}

/** @param {Model} model @param {Resolution} resolution @param {Video|null} source */
export function pricePerSecond(model, resolution, source) {
  const prices = (source && model.extension) || model;
  return prices.credits_per_second_by_resolution?.[resolution] ?? prices.credits_per_second;
}

/** @param {Model} model @param {Resolution} resolution @param {Material} material */
function lengthsAt(model, resolution, { source, references, lastFrame }) {
  if (source && model.extension) return extensionLengths(model.extension, source);
  const high = RESOLUTIONS.indexOf(resolution) >= HIGH_FROM;
  const limits = [
    high && model.seconds_at_high_resolution,
    references && model.seconds_with_reference_images,
    lastFrame && model.seconds_with_last_frame,
  ];
  const allowed = model.seconds.filter((seconds) =>
    limits.every((limit) => !limit || limit.length === 0 || limit.includes(seconds)),
  );
  return allowed.length ? allowed : model.seconds;
}

/** @param {import('./types.js').Extension} extension @param {Video} source */
function extensionLengths({ seconds, max_total_seconds }, source) {
  const fitting = seconds.filter((added) => added + Number(source.seconds) <= max_total_seconds);
  return fitting.length ? fitting : seconds;
}

/** @param {number[]} values @param {number} wish */
const nearest = (values, wish) => values.reduce((best, value) => (Math.abs(value - wish) < Math.abs(best - wish) ? value : best));

/** @param {Model} model @param {string} what */
const notOffered = (model, what) => words.reasons.notOffered(modelName(model.id), what);

/** @param {boolean} allowed @param {string} reason */
const unless = (allowed, reason) => (allowed ? undefined : reason);
