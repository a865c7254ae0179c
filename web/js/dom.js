/** Making and finding elements. Text is always set as text, never parsed as markup. */

import { strings } from './strings.js';

const SVG = 'http://www.w3.org/2000/svg';

/**
 * The element with this id, which index.html is known to have.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no element #${id}`);
  return /** @type {T} */ (found);
}

/**
 * A new element. `on` holds listeners; null, undefined and false leave an attribute out, true sets it empty.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Node|string|null|undefined|false)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'on') {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? '' : String(value));
    }
  }
  element.append(.../** @type {(Node|string)[]} */ (children.filter((child) => child || child === '')));
  return element;
}

/**
 * A new element of a drawing.
 * @param {string} tag
 * @param {Record<string, string|number>} attributes
 * @param {...Node} children
 */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** A drawing of icons.svg; decoration, so hidden from assistive technology. @param {string} name */
export const icon = (name) =>
  svg('svg', { class: 'icon', 'aria-hidden': 'true' }, svg('use', { href: `icons.svg#${name}` }));

/**
 * A button that shows only a drawing, with its name for everybody who cannot see it.
 * @param {string} name the drawing
 * @param {string} label
 * @param {(event: Event) => void} click
 */
export const iconButton = (name, label, click) =>
  el('button', { type: 'button', class: 'icon-button', 'aria-label': label, title: label, on: { click } }, icon(name));

/**
 * A button with words.
 * @param {string} text
 * @param {(event: Event) => void} click
 * @param {string} [kind] more classes, such as "button-small button-danger"
 */
export const button = (text, click, kind = 'button-small') =>
  el('button', { type: 'button', class: `button ${kind}`, on: { click } }, text);

/** Set only when it differs, so that screen readers and the layout are left alone. @param {Element} element @param {string} text */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {string} path such as "compose.prompt" */
function lookUp(path) {
  const found = path.split('.').reduce((at, key) => /** @type {any} */ (at)?.[key], /** @type {unknown} */ (strings));
  if (typeof found !== 'string') throw new Error(`strings.js has no sentence "${path}"`);
  return found;
}

/** Fill in the sentences that index.html names: data-t (text), data-t-label, data-t-placeholder. */
export function localize() {
  for (const element of document.querySelectorAll('[data-t]')) {
    element.textContent = lookUp(element.getAttribute('data-t') ?? '');
  }
  for (const element of document.querySelectorAll('[data-t-label]')) {
    element.setAttribute('aria-label', lookUp(element.getAttribute('data-t-label') ?? ''));
  }
  for (const element of document.querySelectorAll('[data-t-placeholder]')) {
    element.setAttribute('placeholder', lookUp(element.getAttribute('data-t-placeholder') ?? ''));
  }
}
