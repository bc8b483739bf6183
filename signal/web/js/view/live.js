// What one camera sees now: a still after the other, while somebody looks.
import { ago } from '../words.js';
import { h, say } from './dom.js';
import { icon } from './icons.js';

/** Between two stills, ms; longer after one that failed. */
export const STILL_EVERY_MS = 700;
export const STILL_RETRY_MS = 4000;

export class Live {
  #device;
  #camera;
  #image;
  #note = h('span', { class: 'pill dark' }, 'Looking…');
  #timer = 0;
  /** Which showing this is; 0 while hidden. A loop of an earlier one ends by itself. */
  #turn = 0;
  #turns = 0;
  #url = null;
  #seen_ms = 0;

  constructor(device, camera) {
    this.#device = device;
    this.#camera = camera;
    this.#image = h('img', { alt: `What ${camera} sees now`, test: 'live' });
    this.element = h('div', { class: 'live' }, h('span', { class: 'live-empty' }, icon('camera')), this.#image, this.#note);
  }

  show() {
    if (this.#turn) return;
    this.#turn = this.#turns += 1;
    this.#next(this.#turn);
  }

  hide() {
    this.#turn = 0;
    clearTimeout(this.#timer);
  }

  async #next(turn) {
    const fine = document.hidden ? false : await this.#still();
    if (turn !== this.#turn) return;
    this.#tell(fine);
    this.#timer = setTimeout(() => this.#next(turn), fine ? STILL_EVERY_MS : STILL_RETRY_MS);
  }

  async #still() {
    try {
      const response = await this.#device.fetch(`/api/v1/cameras/${encodeURIComponent(this.#camera)}/snapshot`);
      if (!response.ok) return false;
      this.#swap(URL.createObjectURL(await response.blob()));
      return true;
    } catch {
      return false;
    }
  }

  #swap(url) {
    const old = this.#url;
    this.#url = url;
    this.#seen_ms = Date.now();
    this.#image.onload = () => old && URL.revokeObjectURL(old);
    this.#image.src = url;
    this.element.classList.add('loaded');
  }

  #tell(fine) {
    this.element.classList.toggle('fine', fine);
    if (fine) say(this.#note, 'Live');
    else say(this.#note, this.#seen_ms ? `Last look ${ago(this.#seen_ms, Date.now())}` : 'No picture yet');
  }
}
