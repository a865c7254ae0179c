/** Notifications of the system when a video is done and nobody looks; only for who asked for them. */

import { byId } from './dom.js';
import { shortened } from './format.js';
import { toVideo } from './router.js';
import { recall, remember } from './storage.js';
import { strings } from './strings.js';
import { toast } from './toast.js';

const KEPT = 'notices';
const words = strings.notices;

export class Notices {
  #wanted = recall(KEPT, false);

  constructor() {
    this.button = byId('notices');
    this.button.hidden = !('Notification' in globalThis);
    this.button.addEventListener('click', () => void this.#toggle());
    this.#draw();
  }

  get areOn() {
    return this.#wanted && globalThis.Notification?.permission === 'granted';
  }

  /** @param {import('./types.js').Video} video that has just ended */
  tell(video) {
    if (!this.areOn || !document.hidden || video.status === 'canceled') return;
    const title = video.status === 'completed' ? words.ready : words.failed;
    let notice;
    try {
      notice = new Notification(title, { body: shortened(video.prompt, 120), tag: video.id, icon: 'favicon.svg' });
    } catch {
      // Browsers of phones show notifications of installed pages only.
      return;
    }
    notice.addEventListener('click', () => {
      focus();
      location.hash = toVideo(video.id);
      notice.close();
    });
  }

  async #toggle() {
    const before = this.areOn;
    if (!before && Notification.permission !== 'granted' && (await Notification.requestPermission()) !== 'granted') {
      toast(words.blocked, 'problem');
      return;
    }
    this.#wanted = !before;
    remember(KEPT, this.#wanted);
    this.#draw();
  }

  #draw() {
    this.button.setAttribute('aria-pressed', String(this.areOn));
    this.button.setAttribute('aria-label', this.areOn ? words.on : words.off);
    this.button.title = this.areOn ? words.on : words.off;
  }
}
