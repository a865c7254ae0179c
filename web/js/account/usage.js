/** Credits and videos per day, from the ledger: the service keeps no other count. */

import { el, setText } from '../dom.js';
import { date, dayAndMonth, dayKey, number } from '../format.js';
import { explain, problemNote } from '../problems.js';
import { columns } from '../components/chart.js';
import { strings } from '../strings.js';

/** @typedef {import('../types.js').Transaction} Transaction */

const DAYS = 30;
const DAY_s = 86_400;
const PAGE = 100;
/** So far back the ledger is read for this: a thousand entries. */
const MAX_PAGES = 10;
const words = strings.account;

export class Usage {
  #asking = false;

  /** @param {import('../api.js').Api} api */
  constructor(api) {
    this.api = api;
    this.lead = el('p', { class: 'lead' }, words.usageLead(DAYS));
    this.plots = el('div', { class: 'two plots' });
    this.element = el('section', { class: 'stack', 'aria-label': words.usage }, el('h3', {}, words.usage), this.lead, this.plots);
  }

  async load() {
    if (this.#asking) return;
    this.#asking = true;
    try {
      const now_s = this.api.now_s;
      const { entries, isComplete } = await this.#entries(now_s - DAYS * DAY_s);
      this.#draw(entries, now_s);
      const short = isComplete ? '' : ` ${words.usageShort(date(entries[entries.length - 1].created_at))}`;
      setText(this.lead, words.usageLead(DAYS) + short);
    } catch (error) {
      this.plots.replaceChildren(problemNote(explain(error)));
    } finally {
      this.#asking = false;
    }
  }

  /** @param {number} since_s */
  async #entries(since_s) {
    /** @type {Transaction[]} */
    const entries = [];
    let after = null;
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const { data, last_id, has_more } = await this.api.transactions({ limit: PAGE, after });
      entries.push(...data);
      if (!has_more || data[data.length - 1].created_at < since_s) return { entries, isComplete: true };
      after = last_id;
    }
    return { entries, isComplete: false };
  }

  /** @param {Transaction[]} entries @param {number} now_s */
  #draw(entries, now_s) {
    const days = Array.from({ length: DAYS }, (_, back) => now_s - (DAYS - 1 - back) * DAY_s);
    const spent = new Map(days.map((at) => [dayKey(at), 0]));
    const videos = new Map(spent);
    for (const { type, amount, created_at } of entries) {
      const key = dayKey(created_at);
      if (!spent.has(key)) continue;
      if (type === 'charge' || type === 'refund') spent.set(key, (spent.get(key) ?? 0) - amount);
      if (type === 'charge') videos.set(key, (videos.get(key) ?? 0) + 1);
    }
    const plot = (/** @type {string} */ name, /** @type {string} */ kind, /** @type {Map<string, number>} */ counts) => {
      const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
      const bars = days.map((at) => ({ label: dayAndMonth(at), values: [counts.get(dayKey(at)) ?? 0] }));
      return columns(`${name}: ${words.total(number(total))}`, [{ name, kind }], bars, number);
    };
    const isUsed = [...videos.values(), ...spent.values()].some(Boolean);
    this.plots.replaceChildren(
      ...(isUsed ? [plot(words.creditsADay, 'accent', spent), plot(words.videosADay, 'good', videos)] : [el('p', { class: 'panel lead' }, words.usageNone)]),
    );
  }
}
