/** The one place where the parts of the page are put together. */

import { Account } from './account.js';
import { Api } from './api.js';
import { Compose } from './compose.js';
import { confirmed } from './confirm.js';
import { byId, el, localize } from './dom.js';
import { number } from './format.js';
import { Ledger } from './ledger.js';
import { Library } from './library.js';
import { Player } from './player.js';
import { Posters } from './posters.js';
import { Queue } from './queue.js';
import { ACCOUNT, go, here, onMove, STUDIO } from './router.js';
import { Session } from './session.js';
import { SignIn } from './signin.js';
import { strings } from './strings.js';
import { Submission } from './submission.js';
import { toast, toastProblem } from './toast.js';
import { isFinal, Videos } from './videos.js';

/** @typedef {import('./types.js').Video} Video */

/** Everything that needs somebody signed in. */
class Studio {
  /** @param {Session} session */
  constructor(session) {
    const api = new Api(session);
    this.api = api;
    this.session = session;
    this.videos = new Videos();
    this.account = new Account(api);
    this.ledger = new Ledger(api);
    this.queue = new Queue(api, this.videos);
    this.compose = new Compose(api, new Submission(api), this.account, (video) => this.#sent(video));
    const actions = {
      cancel: (/** @type {Video} */ video) => void this.#cancel(video),
      remove: (/** @type {Video} */ video) => void this.#remove(video),
      reuse: (/** @type {Video} */ video) => this.#reuse(video),
    };
    this.library = new Library(api, this.videos, new Posters(api), actions);
    this.player = new Player(api, this.videos, { ...actions, closed: () => here().name === 'video' && go(STUDIO) });
    this.#listen();
  }

  open() {
    this.#move();
    return Promise.all([this.account.refresh(), this.compose.load(), this.library.load()]);
  }

  #listen() {
    this.videos.addEventListener('change', (event) => {
      const { video, before } = /** @type {CustomEvent<{video: Video, before?: Video}>} */ (event).detail;
      if (before && !isFinal(before) && isFinal(video)) this.#ended(video);
    });
    this.queue.addEventListener('reachable', (event) => {
      byId('offline').hidden = /** @type {CustomEvent} */ (event).detail.reachable;
    });
    this.account.addEventListener('change', () => {
      this.compose.refreshEstimate();
      if (here().name === 'account') void this.ledger.load();
    });
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) void this.account.refresh();
    });
    onMove(() => this.#move());
    byId('sign-out').addEventListener('click', () => {
      this.compose.forgetDraft();
      this.session.signOut();
      location.hash = '';
      location.reload();
    });
  }

  #move() {
    const place = here();
    const inAccount = place.name === 'account';
    byId('studio').hidden = inAccount;
    byId('account').hidden = !inAccount;
    for (const link of document.querySelectorAll('.bar-nav a')) {
      const current = link.getAttribute('href') === (inAccount ? ACCOUNT : STUDIO);
      if (current) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
    if (place.name === 'video') void this.player.open(place.id);
    else this.player.close();
    if (inAccount) {
      scrollTo(0, 0);
      void this.ledger.load();
    }
  }

  /** @param {Video} video */
  #sent(video) {
    this.videos.put(video);
    this.library.reveal(video.id);
    void this.account.refresh();
  }

  /** @param {Video} video */
  #ended(video) {
    void this.account.refresh();
    if (video.status === 'completed') toast(strings.card.ready(short(video.prompt)), 'done');
    if (video.status === 'failed') {
      const back = video.refunded ? ` ${strings.card.refunded(number(video.refunded), video.refunded)}.` : '';
      toast(strings.card.notMade(video.error?.message ?? '') + back, 'problem');
    }
  }

  /** @param {Video} video */
  async #cancel(video) {
    const { cancelTitle: title, cancelText, cancelYes: yes, cancelNo: no } = strings.card;
    const text = cancelText(strings.compose.credits(number(video.cost), video.cost));
    if (!(await confirmed({ title, text, yes, no }))) return;
    try {
      const { video: canceled, message } = await this.api.cancelVideo(video.id);
      this.videos.put(canceled);
      toast(message, 'done');
    } catch (error) {
      toastProblem(error);
    }
  }

  /** @param {Video} video */
  async #remove(video) {
    const { removeTitle: title, removeText: text, removeYes: yes, removeNo: no } = strings.card;
    if (!(await confirmed({ title, text, yes, no }))) return;
    try {
      await this.api.deleteVideo(video.id);
      this.videos.remove(video.id);
      toast(strings.card.removed, 'done');
    } catch (error) {
      toastProblem(error);
    }
  }

  /** @param {Video} video */
  #reuse(video) {
    go(STUDIO);
    this.player.close();
    this.compose.reuse(video);
  }
}

/** @param {string} prompt */
const short = (prompt) => (prompt.length > 60 ? `${prompt.slice(0, 59).trimEnd()}…` : prompt);

/** @param {'signed-out'|'signed-in'|'broken'} state */
const setState = (state) => (document.body.dataset.state = state);

/** @param {SignIn} door @param {string} notice why, or empty */
function askToSignIn(door, notice) {
  setState('signed-out');
  for (const dialog of document.querySelectorAll('dialog')) dialog.close();
  byId('bar').hidden = byId('studio').hidden = byId('account').hidden = true;
  byId('door').hidden = false;
  door.show(notice);
}

/** @param {Session} session */
function enter(session) {
  setState('signed-in');
  byId('door').hidden = true;
  byId('bar').hidden = false;
  void new Studio(session).open();
}

/** The address after # is the router's, so the skip link moves the focus by itself. */
function listenToSkipLink() {
  document.querySelector('.skip')?.addEventListener('click', (event) => {
    event.preventDefault();
    byId('main').focus();
  });
}

async function start() {
  localize();
  listenToSkipLink();
  let config;
  try {
    const response = await fetch('config.json');
    if (!response.ok) throw new Error(`config.json: ${response.status}`);
    config = await response.json();
  } catch {
    setState('broken');
    byId('broken').append(
      el('p', {}, strings.app.failedToStart),
      el('button', { type: 'button', class: 'button', on: { click: () => location.reload() } }, strings.app.tryAgain),
    );
    return;
  }
  const session = new Session(config);
  // Entering again after the session ended starts from a clean page, since somebody else may be at the door.
  let ended = false;
  const door = new SignIn(session, () => (ended ? location.reload() : enter(session)));
  session.addEventListener('ended', () => {
    ended = true;
    askToSignIn(door, strings.signIn.ended);
  });
  if (session.signedIn) enter(session);
  else askToSignIn(door, '');
}

void start();
