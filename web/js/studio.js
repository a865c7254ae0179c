/** Everything that needs somebody signed in, put together. */

import { Api } from './api.js';
import { Balance } from './balance.js';
import { ApiError } from './client.js';
import { Compose } from './compose.js';
import { byId, setText } from './dom.js';
import { Filters } from './filters.js';
import { number, shortened } from './format.js';
import { needed, styled } from './lazy.js';
import { Library } from './library.js';
import { Live } from './live.js';
import { Notices } from './notices.js';
import { Posters } from './posters.js';
import { Preview } from './preview.js';
import { problemNote } from './problems.js';
import { Removal } from './removal.js';
import { CREATE, go, here, onMove, VIDEOS } from './router.js';
import { SignedUrls } from './signed_urls.js';
import { Source } from './source.js';
import { strings } from './strings.js';
import { Submission } from './submission.js';
import { toast, toastProblem } from './toast.js';
import { isFinal, Videos } from './videos.js';

/**
 * @typedef {import('./types.js').Video} Video
 * @typedef {{show: (section: string) => void, refresh: () => void}} Room
 */

const PROJECTS = 100;

export class Studio {
  /** Rooms that were entered; most people never see the administrators'. @type {Map<string, Promise<Room>>} */
  #rooms = new Map();
  /** Where one is, without the player. @type {import('./router.js').Room|null} */
  #room = null;
  /** @type {import('./types.js').Project[]} */
  projects = [];
  /** Once a video was opened. @type {import('./player.js').Player|null} */
  player = null;
  /** Once the address turned out not to be verified. @type {import('./verification.js').Verification|null} */
  verification = null;

  /** @param {import('./session.js').Session} session */
  constructor(session) {
    const api = new Api(session);
    this.api = api;
    this.session = session;
    this.videos = new Videos();
    this.balance = new Balance(api);
    this.notices = new Notices();
    this.removal = new Removal(api, this.videos);
    this.live = new Live(api, this.videos, () => this.notices.areOn);
    const urls = new SignedUrls(api);
    const posters = new Posters(urls);
    const source = new Source(api, posters);
    this.compose = new Compose(api, new Submission(api), this.balance, source, (video) => this.#sent(video));
    const actions = {
      cancel: (/** @type {Video} */ video) => void this.#cancel(video),
      remove: (/** @type {Video[]} */ videos) => this.removal.remove(videos),
      reuse: (/** @type {Video} */ video) => this.#make(() => this.compose.reuse(video)),
      extend: (/** @type {Video} */ video) => this.#make(() => this.compose.extend(video)),
    };
    this.filters = new Filters();
    this.library = new Library(api, this.videos, this.filters, { posters, preview: new Preview(urls) }, actions);
    const closed = (/** @type {string} */ id) => {
      if (here().room === 'video' && here().id === id) go(this.#room === 'create' ? CREATE : VIDEOS);
    };
    const pages = { ...actions, closed, shown: () => this.library.shown };
    this.makePlayer = async () => {
      const [{ Player }] = await Promise.all([import('./player.js'), styled('css/player.css')]);
      this.player ??= new Player(api, this.videos, urls, pages, () => this.compose.models);
      return this.player;
    };
    this.#listen();
  }

  async open() {
    this.#move();
    await Promise.all([this.balance.refresh(), this.compose.load(), this.library.load(), this.#learnProjects()]);
    this.filters.offer(this.compose.models.map(({ id }) => id), this.projects);
    void this.live.run();
  }

  #listen() {
    this.videos.addEventListener('change', (event) => {
      const { video, before } = /** @type {CustomEvent<{video: Video, before?: Video}>} */ (event).detail;
      if (before?.status !== video.status) void this.balance.refresh();
      if (before && !isFinal(before) && isFinal(video)) this.#ended(video);
      this.#showCount();
    });
    this.videos.addEventListener('remove', () => this.#showCount());
    this.live.addEventListener('reachable', (event) => {
      const { reachable } = /** @type {CustomEvent} */ (event).detail;
      byId('offline').hidden = reachable;
      if (reachable) void this.#recover();
    });
    this.balance.addEventListener('change', () => {
      if (this.balance.account?.email_verified === false) void this.#askToVerify();
      this.compose.refreshQuote();
      for (const room of this.#rooms.values()) void room.then((entered) => entered.refresh(), () => {});
    });
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) void this.balance.refresh();
    });
    onMove(() => this.#move());
  }

  async #askToVerify() {
    if (this.verification) return;
    const loaded = await needed(() => import('./verification.js'));
    if (loaded) this.verification ??= new loaded.Verification(this.session, this.balance);
  }

  // --- moving ---

  #move() {
    const { room, id } = here();
    if (room === 'video') {
      this.#enter(this.#room === 'create' ? 'create' : 'videos');
      void this.#openPlayer(id);
      return;
    }
    this.player?.close();
    const isNew = this.#room !== null && this.#room !== room;
    this.#enter(room);
    if (room === 'account' || room === 'admin') void this.#openRoom(room, id);
    if (isNew) this.#arrive(room);
  }

  /** @param {import('./router.js').Room} room */
  #enter(room) {
    this.#room = room;
    document.body.dataset.room = room;
    byId('studio').hidden = room === 'account' || room === 'admin';
    for (const name of ['account', 'admin']) byId(name).hidden = room !== name;
    for (const link of document.querySelectorAll('.rooms a')) {
      if (link.getAttribute('data-rooms')?.split(' ').includes(room)) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
    this.#showCount();
  }

  /** The keyboard, and who listens, go along. @param {import('./router.js').Room} room */
  #arrive(room) {
    scrollTo(0, 0);
    const titles = { create: 'compose-title', videos: 'library-title', video: 'library-title', account: 'account-title', admin: 'admin-title' };
    (document.getElementById(titles[room]) ?? byId('main')).focus({ preventScroll: true });
  }

  /** @param {string} id */
  async #openPlayer(id) {
    const player = this.player ?? (await needed(this.makePlayer));
    // Somebody may have gone on meanwhile.
    if (here().room === 'video' && here().id === id) await player?.open(id);
  }

  /** @param {'account'|'admin'} name @param {string} section */
  async #openRoom(name, section) {
    if (!this.#rooms.has(name)) this.#rooms.set(name, this.#load(name));
    try {
      (await this.#rooms.get(name))?.show(section);
    } catch (error) {
      this.#rooms.delete(name);
      if (!(error instanceof TypeError)) throw error;
      const { message, action } = strings.problems.offline;
      byId(name).replaceChildren(problemNote({ message, action, requestId: '' }));
    }
  }

  /** @param {'account'|'admin'} name @returns {Promise<Room>} */
  async #load(name) {
    await styled('css/rooms.css');
    const { api, balance, session } = this;
    if (name === 'admin') return new (await import('./admin/admin.js')).Admin({ api, balance });
    const signOut = (/** @type {string} */ notice) => this.#signOut(notice);
    return new (await import('./account/account.js')).Account({ api, balance, session, signOut });
  }

  /** @param {string} notice what is said at the door, or empty */
  #signOut(notice) {
    this.compose.forgetDraft();
    this.session.signOut(notice);
    location.hash = '';
    location.reload();
  }

  #showCount() {
    const { length } = this.videos.unfinished;
    setText(byId('under-way'), strings.library.underWay(length));
    setText(byId('count'), length ? String(length) : '');
    const titles = { create: '', videos: strings.app.videos, video: strings.app.videos, account: strings.app.account, admin: strings.app.admin };
    document.title = strings.app.title(titles[this.#room ?? 'create'], length);
  }

  // --- what happens to videos ---

  /** @param {Video} video */
  #sent(video) {
    this.videos.put(video);
    // Where form and library do not fit beside each other, the video is what one wants to see now.
    if (!byId('grid').checkVisibility()) go(VIDEOS);
    this.filters.clear();
    this.library.reveal(video.id);
  }

  /** @param {Video} video */
  #ended(video) {
    this.notices.tell(video);
    if (video.status === 'completed') toast(strings.card.ready(shortened(video.prompt)), 'done');
    if (video.status === 'failed') {
      const back = video.refunded ? ` ${strings.card.refunded(number(video.refunded), video.refunded)}.` : '';
      toast(strings.card.notMade(video.error?.message ?? '') + back, 'problem');
    }
  }

  /** @param {Video} video */
  async #cancel(video) {
    const { cancelTitle: title, cancelChanged, cancelYes: yes, cancelNo: no } = strings.card;
    const asking = await needed(() => import('./confirm.js'));
    if (!asking) return;
    try {
      const terms = await this.api.cancellation(video.id);
      if (!(await asking.confirmed({ title, text: whatComesBack(terms), yes, no }))) return;
      const { video: canceled, message } = await this.api.cancelVideo(video.id, terms.cancel_returns);
      this.videos.put(canceled);
      toast(message, 'done');
    } catch (error) {
      if (!(error instanceof ApiError && error.code === 'REFUND_CHANGED')) toastProblem(error);
      else {
        // Less would come back than the dialog said: ask again, with what would.
        toast(cancelChanged, 'info');
        await this.#cancel(video);
      }
    }
  }

  /** @param {() => void} begin */
  #make(begin) {
    this.#room = 'create';
    this.player?.close();
    go(CREATE);
    this.#enter('create');
    begin();
  }

  async #learnProjects() {
    try {
      this.projects = (await this.api.projects({ limit: PROJECTS })).data;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // Whatever keeps the projects from loading keeps the library too, and is said there.
      this.projects = [];
    }
    this.compose.offerProjects(this.projects);
  }

  /** The service is back: what could not be loaded while it was away. */
  async #recover() {
    void this.balance.refresh();
    if (!this.compose.isReady) await this.compose.load();
    await this.library.recover();
  }
}

/** @param {import('./types.js').Cancellation} terms */
function whatComesBack({ cost, cancel_returns, kept, reason }) {
  const { cancelAll, cancelNothing, cancelPart, cancelReasons } = strings.card;
  const credits = strings.compose.credits(number(cost), cost);
  const part = () => (cancel_returns ? cancelPart(number(cancel_returns), credits) : cancelNothing(credits));
  return `${cancelReasons[reason] ?? ''} ${kept ? part() : cancelAll(credits)}`.trim();
}
