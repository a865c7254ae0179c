/** The API's reference, drawn from openapi.json. Text is always set as text, never parsed as markup. */

/** @typedef {Record<string, any>} Json */

const METHODS = ['get', 'post', 'put', 'patch', 'delete', 'head'];
const CREDENTIALS = { id_token: 'ID token', api_key: 'API key' };

/**
 * A new element.
 * @param {string} tag
 * @param {Record<string, string>} [attributes]
 * @param {...(Node|string|null|undefined)} children
 */
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(.../** @type {(Node|string)[]} */ (children.filter((child) => child !== null && child !== undefined)));
  return element;
}

/** What a reference leads to. @param {Json} api @param {Json} part @returns {Json} */
function resolved(api, part) {
  if (!part?.$ref) return part ?? {};
  return part.$ref.slice(2).split('/').reduce((/** @type {Json} */ at, /** @type {string} */ key) => at[key], api);
}

/** The name at the end of a reference. @param {Json} schema */
const named = (schema) => schema.$ref?.split('/').pop();

/** A schema's type in a few words. @param {Json} schema @returns {string} */
function kind(schema) {
  if (schema.$ref) return named(schema);
  if (schema.enum) return schema.enum.map((/** @type {any} */ value) => JSON.stringify(value)).join(' | ');
  if ('const' in schema) return JSON.stringify(schema.const);
  const choices = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (choices) return choices.map(kind).join(' | ');
  if (schema.type === 'array') return `list of ${kind(schema.items ?? {})}`;
  if (schema.contentMediaType) return 'file';
  return schema.type ?? 'any';
}

/** The limits of a value, in words. @param {Json} schema */
function limits(schema) {
  const all = [schema, ...(schema.anyOf ?? [])];
  const said = all.flatMap((/** @type {Json} */ one) => [
    one.minimum !== undefined && `at least ${one.minimum}`,
    one.maximum !== undefined && `at most ${one.maximum}`,
    one.minLength && `at least ${one.minLength} characters`,
    one.maxLength !== undefined && `at most ${one.maxLength} characters`,
    one.maxItems !== undefined && `at most ${one.maxItems} items`,
    one.pattern && `matches ${one.pattern}`,
  ]);
  const preset = schema.default;
  if (preset !== undefined && preset !== null) said.push(`otherwise ${JSON.stringify(preset)}`);
  return said.filter(Boolean).join(', ');
}

/** One row of a table of fields. @param {string} name @param {Json} schema @param {boolean} required @param {string} [text] */
function row(name, schema, required, text) {
  const remarks = [text ?? schema.description, limits(schema)].filter(Boolean).join(' · ');
  return el(
    'tr',
    {},
    el('th', { scope: 'row' }, el('code', required ? { class: 'required' } : {}, name)),
    el('td', {}, el('code', {}, kind(schema)), el('div', { class: 'muted' }, remarks)),
  );
}

/** The schemas that a schema names, itself included. @param {Json} schema @returns {string[]} */
function mentioned(schema) {
  if (Array.isArray(schema)) return schema.flatMap(mentioned);
  if (!schema || typeof schema !== 'object') return [];
  return [...(schema.$ref ? [named(schema)] : []), ...Object.values(schema).flatMap(mentioned)];
}

/** A schema's fields, and those of the schemas within it. @param {Json} api @param {Json} schema @param {Set<string>} [seen] */
function fields(api, schema, seen = new Set()) {
  const whole = resolved(api, schema);
  const rows = Object.entries(whole.properties ?? {}).map(([name, field]) =>
    row(name, field, (whole.required ?? []).includes(name)),
  );
  const parts = mentioned(whole).filter((name) => !seen.has(name) && api.components.schemas[name]?.properties);
  for (const name of parts) seen.add(name);
  return [
    whole.description ? el('p', { class: 'muted' }, whole.description) : null,
    rows.length ? el('table', { class: 'fields' }, el('tbody', {}, ...rows)) : el('p', {}, el('code', {}, kind(whole))),
    ...[...new Set(parts)].map((name) =>
      el('details', {}, el('summary', {}, el('code', {}, name)), ...fields(api, { $ref: `#/components/schemas/${name}` }, seen)),
    ),
  ];
}

/** @param {string} title @param {...(Node|null)} children */
const section = (title, ...children) => [el('h4', {}, title), ...children];

/** @param {Json} api @param {Json} operation */
function parameters(api, operation) {
  const all = (operation.parameters ?? []).map((/** @type {Json} */ one) => resolved(api, one));
  if (!all.length) return [];
  const rows = all.map((/** @type {Json} */ one) =>
    row(one.name, one.schema, one.required === true, [one.in, one.description].filter(Boolean).join(': ')),
  );
  return section('Parameters', el('table', { class: 'fields' }, el('tbody', {}, ...rows)));
}

/** @param {Json} media */
function examples(media) {
  const all = media.example === undefined ? (media.examples ?? {}) : { example: { value: media.example } };
  return Object.entries(all).map(([text, example]) =>
    el('figure', {}, el('figcaption', { class: 'muted' }, text), el('pre', {}, JSON.stringify(example.value, null, 2))),
  );
}

/** @param {Json} api @param {Json} operation */
function body(api, operation) {
  const content = Object.entries(operation.requestBody?.content ?? {});
  return content.flatMap(([type, media]) => [
    ...section(`Body, ${type}`, ...fields(api, media.schema)),
    ...examples(media),
  ]);
}

/** One answer. @param {Json} api @param {string} status @param {Json} answer */
function answer(api, status, answer) {
  const whole = resolved(api, answer);
  const [[type, media] = ['', {}]] = Object.entries(whole.content ?? {});
  const failed = Number(status) >= 400;
  const title = el('summary', {}, el('code', failed ? { class: 'failure' } : {}, status), ` ${failed ? codes(whole) : whole.description}`);
  if (failed) {
    const lines = whole.description.split('\n').map((/** @type {string} */ line) => el('li', {}, line.replace(/^- /, '').replaceAll('`', '')));
    return el('details', {}, title, el('ul', {}, ...lines));
  }
  const headers = Object.entries(whole.headers ?? {}).map(([name, header]) => {
    const described = resolved(api, header);
    return row(name, described.schema, false, described.description);
  });
  return el(
    'details',
    {},
    title,
    type ? el('p', { class: 'muted' }, Object.keys(whole.content).join(', ')) : null,
    ...(media.schema ? fields(api, media.schema) : []),
    ...examples(media),
    headers.length ? el('table', { class: 'fields' }, el('tbody', {}, ...headers)) : null,
  );
}

/** The codes that an error's description begins its lines with. @param {Json} failure */
const codes = (failure) => [...failure.description.matchAll(/^- `([A-Z_]+)`/gm)].map((match) => match[1]).join(', ');

/** @param {Json} operation */
function callers(operation) {
  const names = operation.security.flatMap((/** @type {Json} */ one) => Object.keys(one));
  return names.map((/** @type {keyof typeof CREDENTIALS} */ name) => CREDENTIALS[name] ?? name).join(' or ');
}

/** @param {Json} api @param {string} path @param {string} method @param {Json} operation */
function described(api, path, method, operation) {
  return el(
    'article',
    { class: 'operation', id: operation.operationId },
    el('h3', {}, operation.summary),
    el('p', { class: 'address' }, el('code', { class: 'method' }, method.toUpperCase()), el('code', {}, path)),
    el('p', { class: 'muted' }, `${operation.operationId} · with ${callers(operation)}`),
    ...operation.description.split('\n\n').map((/** @type {string} */ text) => el('p', {}, text.replaceAll('`', ''))),
    ...parameters(api, operation),
    ...body(api, operation),
    ...section('Responses', ...Object.entries(operation.responses).map(([status, one]) => answer(api, status, one))),
  );
}

/** All operations, in the order of the tags and then of the paths. @param {Json} api */
function operations(api) {
  const all = Object.entries(api.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => ({ path, method, operation: item[method] })),
  );
  return api.tags.map((/** @type {Json} */ { name: tag, description }) => ({ tag, description, found: all.filter(({ operation }) => operation.tags.includes(tag)) }));
}

/** Draw everything. @param {Json} api @param {HTMLElement} main @param {HTMLElement} contents */
function draw(api, main, contents) {
  for (const { tag, description, found } of operations(api)) {
    if (!found.length) continue;
    main.append(el('h2', {}, tag), el('p', { class: 'muted' }, description));
    contents.append(el('h2', {}, tag));
    for (const { path, method, operation } of found) {
      main.append(described(api, path, method, operation));
      contents.append(el('a', { href: `#${operation.operationId}` }, operation.summary));
    }
  }
}

/** Show only the operations that hold every word. @param {string} words @param {HTMLElement} main */
function narrow(words, main) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  for (const article of main.querySelectorAll('article')) {
    const text = article.textContent?.toLowerCase() ?? '';
    article.hidden = !wanted.every((word) => text.includes(word));
  }
}

const main = /** @type {HTMLElement} */ (document.getElementById('main'));
const contents = /** @type {HTMLElement} */ (document.getElementById('contents'));
const find = /** @type {HTMLInputElement} */ (document.getElementById('find'));

try {
  const response = await fetch('../openapi.json');
  if (!response.ok) throw new Error(`openapi.json: ${response.status}`);
  draw(await response.json(), main, contents);
  find.addEventListener('input', () => narrow(find.value, main));
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
} catch (error) {
  main.append(el('p', { role: 'alert' }, `The reference could not be drawn. ${error instanceof Error ? error.message : ''}`));
} finally {
  main.setAttribute('aria-busy', 'false');
}
