// Short notices at the foot of the page, with a way back where there is one; screen readers hear them.
import { h, say } from './dom.js';
import { icon } from './icons.js';

/** How long a notice stays, ms; longer when it can be undone. */
export const NOTICE_MS = 4000;
export const UNDO_MS = 7000;
/** Notices shown at once; the oldest goes first, and is final. */
export const NOTICES = 3;

export class Notices {
  element = h('div', { class: 'notices', role: 'status', 'aria-live': 'polite' });
  #whisper = h('div', { class: 'unseen-text', 'aria-live': 'polite', test: 'live-region' });
  #open = [];

  constructor() {
    addEventListener('pagehide', () => [...this.#open].forEach((notice) => notice.end(true)));
  }

  /** The element that only screen readers have. */
  get whisperer() {
    return this.#whisper;
  }

  /** Tells screen readers alone. */
  whisper(text) {
    say(this.#whisper, text);
  }

  /** Shows `text`. With `undo`, offers it; `final` runs once it is too late. */
  tell(text, { undo = null, final = () => {}, tone = 'plain' } = {}) {
    const notice = { end: null };
    const element = h('div', { class: `notice ${tone}`, test: 'notice' }, h('span', {}, text));
    const timer = setTimeout(() => notice.end(true), undo ? UNDO_MS : NOTICE_MS);
    notice.end = (last) => {
      if (!this.#open.includes(notice)) return;
      clearTimeout(timer);
      this.#open = this.#open.filter((other) => other !== notice);
      element.remove();
      if (last) final();
      else undo();
    };
    if (undo) element.append(h('button', { type: 'button', class: 'text-button', test: 'undo', onclick: () => notice.end(false) }, 'Undo'));
    element.append(h('button', { type: 'button', class: 'round', 'aria-label': 'Dismiss', onclick: () => notice.end(true) }, icon('close')));
    this.#open.push(notice);
    if (this.#open.length > NOTICES) this.#open[0].end(true);
    this.element.append(element);
  }

  /** Shows what went wrong. */
  trouble(text) {
    this.tell(text, { tone: 'bad' });
  }
}
