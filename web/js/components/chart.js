/** Plots without a library: columns by day and dots over time, each with its numbers as a table for who cannot see it. */

import { el } from '../dom.js';
import { strings } from '../strings.js';

/**
 * @typedef {{name: string, kind: string}} Series `kind` is its color's class: accent, good, bad or muted
 * @typedef {{label: string, values: number[]}} Column one value for each series
 * @typedef {{at: number, value: number, kind: string, label: string}} Dot
 */

/** The least round number that nothing exceeds. @param {number} highest */
export function roundedUp(highest) {
  if (highest <= 4) return 4;
  const size = 10 ** Math.floor(Math.log10(highest));
  return [1, 2, 4, 5, 10].map((step) => step * size).find((top) => top >= highest) ?? highest;
}

/**
 * @param {string} title
 * @param {Series[]} series stacked, the first at the foot
 * @param {Column[]} columns in the order of time
 * @param {(n: number) => string} format
 */
export function columns(title, series, columns, format) {
  const sums = columns.map(({ values }) => values.reduce((sum, value) => sum + Math.max(0, value), 0));
  const top = roundedUp(Math.max(...sums, 0));
  const bars = columns.map(({ label, values }) => {
    const parts = values.map((value, at) => sized(el('span', { class: `bar-part bar-${series[at].kind}` }), value / top));
    const said = values.map((value, at) => `${series[at].name}: ${format(value)}`).join(', ');
    return el('span', { class: 'plot-column', title: `${label} · ${said}` }, ...parts.reverse());
  });
  return figure(
    title,
    series,
    el('div', { class: 'plot-columns' }, ...bars),
    [columns[0]?.label ?? '', columns.at(-1)?.label ?? ''],
    format(top),
    table([strings.account.day, ...series.map(({ name }) => name)], columns.map(({ label, values }) => [label, ...values.map(format)])),
  );
}

/**
 * @param {string} title
 * @param {Series[]} series
 * @param {Dot[]} dots
 * @param {{ends: [string, string], format: (n: number) => string, heads: string[], rows: string[][], line: number}} axis
 *   `line` is a value to compare with
 */
export function dots(title, series, dots, { ends, format, heads, rows, line }) {
  const times = dots.map(({ at }) => at);
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const top = roundedUp(Math.max(line, ...dots.map(({ value }) => value)));
  const marks = dots.map(({ at, value, kind, label }) => {
    const dot = el('span', { class: `plot-dot bar-${kind}`, title: label });
    dot.style.setProperty('--x', String(last > first ? (at - first) / (last - first) : 0.5));
    dot.style.setProperty('--y', String(value / top));
    return dot;
  });
  const mark = sized(el('span', { class: 'plot-line' }), line / top);
  return figure(title, series, el('div', { class: 'plot-dots' }, mark, ...marks), ends, format(top), table(heads, rows));
}

/** @param {string} title @param {Series[]} series @param {HTMLElement} area @param {[string, string]} ends @param {string} top @param {HTMLElement} numbers */
const figure = (title, series, area, ends, top, numbers) =>
  el(
    'figure',
    { class: 'plot' },
    el(
      'figcaption',
      { class: 'plot-head' },
      el('span', { class: 'plot-title' }, title),
      series.length > 1 &&
        el('span', { class: 'plot-legend' }, ...series.map(({ name, kind }) => el('span', { class: `plot-key bar-${kind}` }, name))),
    ),
    el(
      'div',
      { class: 'plot-area', 'aria-hidden': 'true' },
      el('span', { class: 'plot-top' }, top),
      area,
      el('div', { class: 'plot-ends' }, ...ends.map((end) => el('span', {}, end))),
    ),
    el('details', { class: 'plot-table' }, el('summary', {}, strings.account.table), numbers),
  );

/** @param {string[]} heads @param {string[][]} rows */
const table = (heads, rows) =>
  el(
    'div',
    { class: 'plot-scroll', tabindex: 0, role: 'region', 'aria-label': strings.account.table },
    el(
      'table',
      { class: 'numbers' },
      el('thead', {}, el('tr', {}, ...heads.map((head) => el('th', { scope: 'col' }, head)))),
      el('tbody', {}, ...rows.map((row) => el('tr', {}, ...row.map((cell, at) => el(at ? 'td' : 'th', at ? {} : { scope: 'row' }, cell))))),
    ),
  );

/** @param {HTMLElement} element @param {number} share */
function sized(element, share) {
  element.style.setProperty('--y', String(Math.max(0, share)));
  return element;
}
