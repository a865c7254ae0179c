/** What went wrong, in words: a sentence, and what to do about it. */

import { ApiError } from './client.js';
import { el, icon } from './dom.js';
import { duration, number } from './format.js';
import { strings } from './strings.js';

/**
 * @typedef {object} Problem
 * @property {string} message
 * @property {string} action may be empty
 * @property {string} requestId may be empty
 */

/** @param {unknown} error @returns {Problem} */
export function explain(error) {
  // Anything but an answer of the service is a mistake of this page: let it be seen as one.
  if (!(error instanceof ApiError)) throw error;
  return { message: message(error), action: action(error), requestId: error.status >= 500 ? error.requestId : '' };
}

/** @param {ApiError} error */
function message(error) {
  const { required, available, deficit } = error.details;
  if (error.code === 'INSUFFICIENT_CREDITS' && [required, available, deficit].every(Number.isFinite)) {
    return strings.problems.credits(number(required), number(available), number(deficit));
  }
  if (error.code === 'PRICE_CHANGED') {
    const [cost, agreed] = [error.details.cost, error.details.max_cost].map((n) => strings.compose.credits(number(n), n));
    return strings.problems.price(cost, agreed);
  }
  return error.message;
}

/** @param {ApiError} error */
function action(error) {
  if (error.code === 'RATE_LIMITED' && error.retryAfter_s) return strings.problems.wait(duration(error.retryAfter_s));
  if (error.code === 'PRICE_CHANGED') return strings.problems.priceAction;
  return error.suggestedAction;
}

/** The problem as a block of the page. @param {Problem} problem @param {...Node} more */
export const problemNote = ({ message, action, requestId }, ...more) =>
  el(
    'div',
    { class: 'note note-problem' },
    icon('alert'),
    el(
      'div',
      {},
      el('p', { class: 'note-message' }, message),
      action && el('p', { class: 'note-action' }, action),
      requestId && el('p', { class: 'note-detail' }, strings.problems.requestId(requestId)),
      ...more,
    ),
  );
