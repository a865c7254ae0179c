/** The service under /v1: one method for each operation that the page uses. */

import { Client } from './client.js';

/**
 * @typedef {import('./types.js').Video} Video
 * @typedef {import('./types.js').CreateVideo} CreateVideo
 * @typedef {Record<string, string|number|null|undefined>} Query what is null or undefined is left out
 */

/**
 * @template T
 * @typedef {import('./types.js').Page<T>} Page
 */

export class Api extends Client {
  // --- videos ---

  /** @returns {Promise<Page<import('./types.js').Model>>} */
  models() {
    return this.json('GET', '/v1/models');
  }

  /** @param {CreateVideo} body @param {AbortSignal} signal @returns {Promise<import('./types.js').Estimate>} */
  estimate(body, signal) {
    return this.json('POST', '/v1/videos/estimate', { body, signal });
  }

  /** @param {CreateVideo|FormData} body @param {string} key makes repeating harmless @returns {Promise<Video>} */
  createVideo(body, key) {
    return this.json('POST', '/v1/videos', { body, headers: { 'Idempotency-Key': key } });
  }

  /** @param {Query} query @returns {Promise<Page<Video>>} */
  listVideos(query) {
    return this.json('GET', `/v1/videos?${search(query)}`);
  }

  /** @param {string} id @returns {Promise<Video>} */
  getVideo(id) {
    return this.json('GET', `/v1/videos/${segment(id)}`);
  }

  /** What canceling would give back now. @param {string} id @returns {Promise<import('./types.js').Cancellation>} */
  cancellation(id) {
    return this.json('GET', `/v1/videos/${segment(id)}/cancel`);
  }

  /** @param {string} id @param {number} minRefund or nothing is canceled @returns {Promise<import('./types.js').Canceled>} */
  cancelVideo(id, minRefund) {
    return this.json('POST', `/v1/videos/${segment(id)}/cancel?${search({ min_refund: minRefund })}`);
  }

  /** @param {string} id @param {boolean} keepalive whether it must outlive the page */
  deleteVideo(id, keepalive = false) {
    return this.json('DELETE', `/v1/videos/${segment(id)}`, { keepalive });
  }

  /**
   * A URL that plays without a header, for a while.
   * @param {string} id
   * @param {'video'|'thumbnail'} variant
   * @returns {Promise<import('./types.js').SignedUrl>}
   */
  contentUrl(id, variant, index = 0) {
    return this.json('GET', `/v1/videos/${segment(id)}/content?${search({ variant, index, redirect: 'json' })}`);
  }

  /** The changes of all one's videos as they happen. @param {string} lastId of the last event, or empty @param {AbortSignal} signal */
  events(lastId, signal) {
    return this.stream('/v1/events', { Accept: 'text/event-stream', ...(lastId && { 'Last-Event-ID': lastId }) }, signal);
  }

  /** @param {Query} query @returns {Promise<Page<import('./types.js').Project>>} */
  projects(query) {
    return this.json('GET', `/v1/projects?${search(query)}`);
  }

  // --- the account ---

  /** @returns {Promise<import('./types.js').AccountView>} */
  account() {
    return this.json('GET', '/v1/account');
  }

  /** @param {{display_name?: string|null, locale?: string|null}} body @returns {Promise<import('./types.js').AccountView>} */
  updateAccount(body) {
    return this.json('PATCH', '/v1/account', { body });
  }

  /** @param {Query} query @returns {Promise<Page<import('./types.js').Transaction>>} */
  transactions(query) {
    return this.json('GET', `/v1/account/transactions?${search(query)}`);
  }

  /** @returns {Promise<Page<import('./types.js').ApiKey>>} */
  apiKeys() {
    return this.json('GET', '/v1/api-keys');
  }

  /** @param {{name: string, scope: string, expires_in_days?: number}} body @returns {Promise<import('./types.js').ApiKey & {key: string}>} */
  createApiKey(body) {
    return this.json('POST', '/v1/api-keys', { body });
  }

  /** @param {string} id */
  revokeApiKey(id) {
    return this.json('DELETE', `/v1/api-keys/${segment(id)}`);
  }

  /** @returns {Promise<Page<import('./types.js').WebhookEndpoint>>} */
  webhookEndpoints() {
    return this.json('GET', '/v1/webhook-endpoints');
  }

  /** @param {{url: string, events: string[], description?: string}} body @returns {Promise<import('./types.js').WebhookEndpoint & {secret: string}>} */
  createWebhookEndpoint(body) {
    return this.json('POST', '/v1/webhook-endpoints', { body });
  }

  /** @param {string} id @param {{disabled?: boolean}} body @returns {Promise<import('./types.js').WebhookEndpoint>} */
  updateWebhookEndpoint(id, body) {
    return this.json('PATCH', `/v1/webhook-endpoints/${segment(id)}`, { body });
  }

  /** @param {string} id */
  deleteWebhookEndpoint(id) {
    return this.json('DELETE', `/v1/webhook-endpoints/${segment(id)}`);
  }

  /** @param {string} id @returns {Promise<import('./types.js').WebhookEndpoint & {secret: string}>} */
  rotateWebhookEndpoint(id) {
    return this.json('POST', `/v1/webhook-endpoints/${segment(id)}/rotate`);
  }

  /** @param {string} id @returns {Promise<import('./types.js').Delivery>} */
  pingWebhookEndpoint(id) {
    return this.json('POST', `/v1/webhook-endpoints/${segment(id)}/test`);
  }

  /** @param {string} id @param {Query} query @returns {Promise<Page<import('./types.js').Delivery>>} */
  deliveries(id, query) {
    return this.json('GET', `/v1/webhook-endpoints/${segment(id)}/deliveries?${search(query)}`);
  }

  /** @param {boolean} fresh whether to replace it @returns {Promise<{secret: string, previous_expires_at: number|null}>} */
  webhookSecret(fresh) {
    return fresh ? this.json('POST', '/v1/account/webhook-secret/rotate') : this.json('GET', '/v1/account/webhook-secret');
  }

  /** @returns {Promise<import('./types.js').Export>} */
  startExport() {
    return this.json('POST', '/v1/account/export');
  }

  /** @param {string} id @returns {Promise<import('./types.js').Export>} */
  async getExport(id) {
    const path = `/v1/account/exports/${segment(id)}`;
    const whole = await this.json('GET', path);
    for (let page = whole; page.has_more;) {
      page = await this.json('GET', `${path}?after=${segment(page.files.at(-1).name)}`);
      whole.files.push(...page.files);
    }
    return whole;
  }

  deleteAccount() {
    return this.json('DELETE', '/v1/account');
  }

  // --- administration ---

  /** @param {Query} query @returns {Promise<Page<import('./types.js').User>>} */
  users(query) {
    return this.json('GET', `/v1/admin/users?${search(query)}`);
  }

  /** @param {string} id @returns {Promise<import('./types.js').User>} */
  getUser(id) {
    return this.json('GET', `/v1/admin/users/${segment(id)}`);
  }

  /** @param {string} id @param {{disabled?: boolean, role?: string, plan?: string}} body @returns {Promise<import('./types.js').User>} */
  updateUser(id, body) {
    return this.json('PATCH', `/v1/admin/users/${segment(id)}`, { body });
  }

  /** @param {string} id @param {{amount: number, description: string}} body @param {string} key makes repeating harmless @returns {Promise<import('./types.js').Transaction>} */
  grant(id, body, key) {
    return this.json('POST', `/v1/admin/users/${segment(id)}/grants`, { body, headers: { 'Idempotency-Key': key } });
  }

  /** @returns {Promise<import('./types.js').TenantBudget>} */
  budget() {
    return this.json('GET', '/v1/admin/budget');
  }

  /** @param {Query} query @returns {Promise<Page<import('./types.js').TenantVideo>>} */
  tenantVideos(query) {
    return this.json('GET', `/v1/admin/videos?${search(query)}`);
  }

  /** @param {string} id @returns {Promise<import('./types.js').TenantVideo & {urls: import('./types.js').SignedUrl[]}>} */
  tenantVideo(id) {
    return this.json('GET', `/v1/admin/videos/${segment(id)}`);
  }

  /** @param {{id: string, title: string}} body @returns {Promise<import('./types.js').Project>} */
  createProject(body) {
    return this.json('POST', '/v1/projects', { body });
  }

  /** @param {string} id @param {{title?: string, archived?: boolean}} body @returns {Promise<import('./types.js').Project>} */
  updateProject(id, body) {
    return this.json('PATCH', `/v1/projects/${segment(id)}`, { body });
  }

  /** @returns {Promise<import('./types.js').Config>} */
  config() {
    return this.json('GET', '/v1/admin/config');
  }

  /** @param {Record<string, unknown>} body @param {string} etag of what is replaced @returns {Promise<import('./types.js').Config>} */
  putConfig(body, etag) {
    return this.json('PUT', '/v1/admin/config', { body, headers: { 'If-Match': etag } });
  }
}

const segment = encodeURIComponent;

/** @param {Query} query */
const search = (query) =>
  new URLSearchParams(
    Object.entries(query).flatMap(([name, value]) => (value === null || value === undefined ? [] : [[name, String(value)]])),
  ).toString();
