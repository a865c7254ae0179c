/** How the tenant's generation is doing, from its newest videos: the service keeps no other figures. */

import { button, el, setText } from '../dom.js';
import { dateTime, duration, modelName, number } from '../format.js';
import { explain, problemNote } from '../problems.js';
import { columns, dots } from '../components/chart.js';
import { strings } from '../strings.js';
import { adminStrings } from './strings.js';
import { endedByDay, failures, quantile, successRate, took_s, withStatus } from './figures.js';

/** @typedef {import('../types.js').TenantVideo} TenantVideo */

const PAGE = 100;
const MAX_PAGES = 3;
const DAYS = 14;
const words = adminStrings.health;

export class Health {
  /** @param {import('./admin.js').AdminContext} context */
  constructor({ api }) {
    this.api = api;
    this.asOf = el('p', { class: 'quiet', role: 'status' });
    this.figures = el('dl', { class: 'figures' });
    this.covers = el('p', { class: 'lead' });
    this.plots = el('div', { class: 'two plots' });
    this.reasons = el('div', { class: 'stack' });
    this.problem = el('div', { role: 'alert' });
    this.button = button(words.refresh, () => void this.load());
    this.element = el(
      'div',
      { class: 'stack' },
      el('div', { class: 'buttons' }, this.button, this.asOf),
      this.problem,
      this.figures,
      this.covers,
      this.plots,
      this.reasons,
    );
  }

  async load() {
    this.button.disabled = true;
    try {
      const [queued, running, videos] = await Promise.all([
        this.api.tenantVideos({ status: 'queued', limit: PAGE }),
        this.api.tenantVideos({ status: 'in_progress', limit: PAGE }),
        this.#newest(),
      ]);
      this.problem.replaceChildren();
      setText(this.asOf, words.asOf(dateTime(this.api.now_s)));
      this.#drawFigures(queued, running, videos);
      this.#drawPlots(videos);
      this.#drawReasons(videos);
    } catch (error) {
      const problem = explain(error);
      this.problem.replaceChildren(problemNote({ ...problem, message: `${words.readFailed} ${problem.message}` }));
    } finally {
      this.button.disabled = false;
    }
  }

  async #newest() {
    /** @type {TenantVideo[]} */
    const videos = [];
    let after = null;
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const { data, has_more, last_id } = await this.api.tenantVideos({ limit: PAGE, after });
      videos.push(...data);
      if (!has_more) break;
      after = last_id;
    }
    return videos;
  }

  /** @param {import('../types.js').Page<TenantVideo>} queued @param {import('../types.js').Page<TenantVideo>} running @param {TenantVideo[]} videos */
  #drawFigures(queued, running, videos) {
    const times = withStatus(videos, 'completed').map(took_s);
    const success = successRate(videos);
    const oldest = queued.data.at(-1);
    const inSeconds = (/** @type {number|null} */ seconds) => (seconds === null ? strings.app.none : duration(seconds));
    const figures = [
      [words.inLine, count(queued), words.now],
      [words.inTheMaking, count(running), words.now],
      [words.oldest, oldest ? duration(this.api.now_s - oldest.created_at) : strings.app.none, words.now],
      [words.success, success === null ? strings.app.none : `${number(Math.floor(success * 100))} %`, words.successNote],
      [words.usual, inSeconds(quantile(times, 0.5)), words.usualNote],
      [words.slow, inSeconds(quantile(times, 0.95)), words.slowNote],
    ];
    this.figures.replaceChildren(
      ...figures.map(([name, value, note]) =>
        el('div', { class: 'figure-box' }, el('dt', {}, name), el('dd', {}, el('span', { class: 'figure-value' }, value), el('span', { class: 'figure-note' }, note))),
      ),
    );
    const first = videos.at(-1);
    setText(this.covers, first ? words.covers(number(videos.length), dateTime(first.created_at)) : words.noVideos);
  }

  /** @param {TenantVideo[]} videos */
  #drawPlots(videos) {
    const made = withStatus(videos, 'completed').reverse();
    const series = [
      { name: words.ready, kind: 'good', status: 'completed' },
      { name: words.failed, kind: 'bad', status: 'failed' },
      { name: words.canceled, kind: 'muted', status: 'canceled' },
    ];
    const byDay = endedByDay(videos, series.map(({ status }) => status), DAYS, this.api.now_s);
    this.plots.replaceChildren(columns(words.ended, series, byDay, number), ...(made.length ? [times(made)] : []));
  }

  /** @param {TenantVideo[]} videos */
  #drawReasons(videos) {
    const reasons = failures(videos);
    this.reasons.replaceChildren(
      el('h3', {}, words.reasons),
      reasons.length
        ? el('ul', { class: 'reasons' }, ...reasons.map(([reason, times]) => el('li', {}, el('span', {}, reason), el('b', { class: 'figure' }, number(times)))))
        : el('p', { class: 'lead' }, words.noFailures),
    );
  }
}

/** @param {import('../types.js').Page<TenantVideo>} page */
const count = ({ data, has_more }) => (has_more ? words.atLeast(number(data.length)) : number(data.length));

/** @param {TenantVideo[]} made oldest first */
function times(made) {
  const kinds = ['accent', 'good', 'bad', 'muted'];
  const models = [...new Set(made.map(({ model }) => model))];
  const kindOf = (/** @type {string} */ model) => kinds[models.indexOf(model) % kinds.length];
  const promised = quantile(made.map(({ expected_seconds }) => expected_seconds), 0.5) ?? 0;
  return dots(
    words.took,
    models.map((model) => ({ name: modelName(model), kind: kindOf(model) })),
    made.map((video) => ({
      at: video.created_at,
      value: took_s(video),
      kind: kindOf(video.model),
      label: `${modelName(video.model)} · ${dateTime(video.created_at)} · ${duration(took_s(video))}`,
    })),
    {
      ends: [dateTime(made[0].created_at), dateTime(made[made.length - 1].created_at)],
      format: duration,
      heads: [strings.account.date, words.model, strings.player.took, words.promised],
      rows: made.map((video) => [dateTime(video.created_at), modelName(video.model), duration(took_s(video)), duration(video.expected_seconds)]),
      line: promised,
    },
  );
}
