/** The beginning: who is it? A link from a mail has its own page; else the door for who is not signed in, the studio for who is. */

import { byId, button, el, localize } from './dom.js';
import { Session } from './session.js';
import { strings } from './strings.js';
import { applyTheme } from './theme.js';

/** @param {'signed-out'|'signed-in'|'broken'} state */
const setState = (state) => (document.body.dataset.state = state);

/** @param {Session} session @param {boolean} anew whether the page is loaded anew on entering @param {string} notice why one is here, or empty */
async function askToSignIn(session, anew, notice) {
  const { SignIn } = await import('./signin.js');
  const door = new SignIn(session, () => (anew ? location.reload() : void enter(session)));
  setState('signed-out');
  for (const dialog of document.querySelectorAll('dialog')) dialog.close();
  for (const id of ['bar', 'studio', 'account', 'admin', 'offline', 'verify']) byId(id).hidden = true;
  byId('door').hidden = false;
  document.title = strings.app.title('', 0);
  door.show(notice);
}

/** A link from Identity Platform's mail. @param {Session} session */
async function act(session) {
  const { Action } = await import('./action.js');
  setState('signed-out');
  byId('door').hidden = false;
  await new Action(session).show();
}

/** Back from Google's page. @param {Session} session @returns {Promise<string>} why it didn't work, or empty */
async function finishGoogle(session) {
  const [{ finish }, { explainIdentity }] = await Promise.all([import('./google.js'), import('./identity_strings.js')]);
  try {
    await finish(session);
    return '';
  } catch (error) {
    return explainIdentity(error);
  }
}

/** @param {Session} session */
async function enter(session) {
  document.head.append(/** @type {HTMLTemplateElement} */ (/** @type {unknown} */ (byId('studio-files'))).content);
  // The form is there to write in while the rest comes.
  setState('signed-in');
  byId('door').hidden = true;
  byId('bar').hidden = byId('studio').hidden = false;
  let studio;
  try {
    const { Studio } = await import('./studio.js');
    studio = new Studio(session);
  } catch (error) {
    breakDown();
    throw error;
  }
  await studio.open();
}

function breakDown() {
  setState('broken');
  for (const id of ['door', 'bar', 'studio']) byId(id).hidden = true;
  byId('broken').replaceChildren(
    el('p', {}, strings.app.failedToStart),
    button(strings.app.tryAgain, () => location.reload(), ''),
  );
}

/** The address after # is the router's, so the skip link moves the focus by itself. */
function listenToSkipLink() {
  document.querySelector('.skip')?.addEventListener('click', (event) => {
    event.preventDefault();
    byId('main').focus();
  });
}

/** @returns {Promise<import('./session.js').Config|null>} */
async function configuration() {
  try {
    const response = await fetch('config.json');
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

async function start() {
  applyTheme();
  localize();
  listenToSkipLink();
  const config = await configuration();
  if (!config) {
    breakDown();
    return;
  }
  const session = new Session(config);
  // Entering again after the session ended starts from a clean page, since somebody else may be at the door.
  session.addEventListener('ended', () => void askToSignIn(session, true, strings.signIn.ended));
  if (new URLSearchParams(location.search).has('oobCode')) {
    await act(session);
    return;
  }
  const refusal = /[#&](id_token|error)=/.test(location.hash) ? await finishGoogle(session) : '';
  if (session.signedIn && !refusal) await enter(session);
  else await askToSignIn(session, false, refusal || session.notice);
}

void start();
