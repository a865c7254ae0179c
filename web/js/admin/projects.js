/** The tenant's projects: making, renaming, putting away. */

import { button, el } from '../dom.js';
import { date } from '../format.js';
import { Form } from '../components/form.js';
import { Listing } from '../components/listing.js';
import { openSheet } from '../components/sheet.js';
import { strings } from '../strings.js';
import { adminStrings } from './strings.js';
import { toastProblem } from '../toast.js';

/** @typedef {import('../types.js').Project} Project */

const PAGE = 50;
const MAX_TITLE = 200;
const words = adminStrings.projects;

export class Projects {
  /** @param {import('./admin.js').AdminContext} context */
  constructor({ api }) {
    this.api = api;
    this.form = new Form(
      words.make,
      [
        { name: 'id', label: words.id, help: words.idHelp, maxlength: 64 },
        { name: 'title', label: words.name, maxlength: MAX_TITLE },
      ],
      words.make,
      async ({ id = '', title = '' }) => {
        const made = await api.createProject({ id, title });
        this.form.reset();
        this.listing.put(made.id, made);
      },
    );
    this.listing = new Listing({
      label: adminStrings.sections.projects,
      columns: [[words.name, 'wide'], [words.made, 'quiet'], ['', 'actions']],
      fetch: (after) => api.projects({ limit: PAGE, after }),
      cells: (project) => this.#cells(project),
      empty: words.empty,
      failed: words.failed,
    });
    this.element = el(
      'div',
      { class: 'stack' },
      el('p', { class: 'lead' }, words.lead),
      el('div', { class: 'panel' }, this.form.element),
      this.listing.element,
    );
  }

  load() {
    void this.listing.load();
  }

  /** @param {Project} project */
  #cells(project) {
    const { id, title, archived, created_at } = project;
    const rename = button(words.rename, () => this.#rename(project));
    const archive = button(archived ? words.restore : words.archive, () => void this.#archive(project));
    for (const each of [rename, archive]) each.setAttribute('aria-label', `${each.textContent}: ${title}`);
    return [
      el(
        'div',
        {},
        el('span', { class: 'cell-title' }, title),
        el('code', { class: 'cell-note' }, id),
        archived && el('span', { class: 'state' }, words.archived),
      ),
      date(created_at),
      el('div', { class: 'buttons' }, rename, archive),
    ];
  }

  /** @param {Project} project */
  #rename({ id, title }) {
    const form = new Form(words.rename, [{ name: 'title', label: words.name, value: title, maxlength: MAX_TITLE }], strings.app.save, async (values) => {
      const changed = await this.api.updateProject(id, { title: values.title ?? '' });
      this.listing.put(id, changed);
      sheet.close();
    });
    const sheet = openSheet(words.rename, form.element);
    form.element.querySelector('input')?.select();
  }

  /** @param {Project} project */
  async #archive({ id, archived }) {
    try {
      this.listing.put(id, await this.api.updateProject(id, { archived: !archived }));
    } catch (error) {
      toastProblem(error);
    }
  }
}
