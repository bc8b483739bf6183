// Adding a device: those of this network by name, a tap to pair, and in words how to open the door when it is closed.
import { discover } from '../../link.js';
import { phoneName } from '../words.js';
import { h, say } from './dom.js';
import { icon } from './icons.js';

/** The network is looked at anew so often, ms. */
export const LOOK_EVERY_MS = 3000;
/** Nothing found for so long: say why that may be, ms. */
export const HINT_AFTER_MS = 8000;

export class PairView {
  title = 'Add a device';
  #app;
  #timer = 0;
  /** Which showing this is; 0 while hidden. A loop of an earlier one ends by itself. */
  #turn = 0;
  #turns = 0;
  #since = 0;
  #asked = null;
  #attempt = null;
  #list = h('ul', { class: 'found', 'aria-label': 'Devices on this network' });
  #status = h('p', { class: 'searching', role: 'status' });
  #hint = h('div', { class: 'panel hint', hidden: true });
  #step = h('div', { class: 'pair-step', 'aria-live': 'polite' });
  #name;
  #rows = new Map();

  constructor(app) {
    this.#app = app;
    this.#name = h('input', { id: 'phone-name', maxlength: '40', autocomplete: 'off', value: phoneName(navigator.userAgent) });
    this.element = h(
      'section',
      { class: 'view pair', 'aria-label': 'Add a device' },
      h('img', { class: 'hero', src: 'icons/hero.svg', alt: '', width: '640', height: '320' }),
      h('h1', {}, 'Find your box'),
      h('p', { class: 'lead' }, 'Nightjar boxes on this network show up here. Pictures travel straight from the box to this phone, never through a cloud.'),
      homeScreenHint(),
      this.#status,
      this.#list,
      this.#step,
      this.#hint,
      h('div', { class: 'field' }, h('label', { for: 'phone-name' }, 'This phone is called'), this.#name),
    );
    this.#fillHint();
  }

  #fillHint() {
    this.#hint.append(
      h('h2', {}, 'No box in sight?'),
      h(
        'ul',
        {},
        h('li', {}, 'The phone must be on the same Wi-Fi as the box, not on mobile data.'),
        h('li', {}, 'A VPN or a private relay hides the phone from its own network. Switch it off for a moment.'),
        h('li', {}, 'The box needs power and network; after starting it takes about a minute.'),
        h('li', {}, 'A phone on IPv6 and a box on IPv4 do not meet this way. On a phone that is already paired, open Home and send its link instead.'),
      ),
    );
  }

  /** @param {{device?: string}} parameters a peer id from a link: pair with that one */
  show({ device } = {}) {
    clearTimeout(this.#timer);
    this.#turn = this.#turns += 1;
    this.#since = Date.now();
    this.#asked = null;
    this.#step.replaceChildren();
    this.#hint.hidden = true;
    this.#look(this.#turn);
    if (device && !this.#app.record(device)) this.#offer({ id: device, name: '' });
  }

  hide() {
    this.#turn = 0;
    clearTimeout(this.#timer);
    this.#attempt?.abort();
  }

  async #look(turn) {
    say(this.#status, this.#rows.size ? 'On this network' : 'Looking around on this network…');
    try {
      this.#found(await discover(this.#app.signal));
    } catch (error) {
      this.#found([]);
      say(this.#status, `${error.message} Looking again.`);
    }
    if (turn !== this.#turn) return;
    this.#hint.hidden = this.#rows.size > 0 || Date.now() - this.#since < HINT_AFTER_MS;
    this.#timer = setTimeout(() => this.#look(turn), LOOK_EVERY_MS);
  }

  #found(devices) {
    const ids = new Set(devices.map(({ id }) => id));
    for (const [id, row] of this.#rows) {
      if (ids.has(id) || id === this.#asked) continue;
      row.remove();
      this.#rows.delete(id);
    }
    for (const device of devices) this.#row(device);
    this.element.classList.toggle('some', this.#rows.size > 0);
    if (this.#rows.size) say(this.#status, 'On this network');
  }

  #row(device) {
    const known = Boolean(this.#app.record(device.id));
    const old = this.#rows.get(device.id);
    if (old?.dataset.name === device.name && old.dataset.known === String(known)) return;
    const row = h(
      'li',
      { class: 'found-row', test: 'device', 'data-id': device.id, 'data-name': device.name, 'data-known': String(known) },
      h('span', { class: 'found-icon' }, icon('box')),
      h('span', { class: 'found-words' }, h('strong', {}, device.name || 'Nightjar box'), h('span', {}, known ? 'Paired with this phone' : 'Ready to meet')),
      h('button', { type: 'button', class: known ? 'button' : 'button primary', test: 'pair', onclick: () => (known ? this.#open(device) : this.#pair(device)) }, known ? 'Open' : 'Pair'),
    );
    if (old) old.replaceWith(row);
    else this.#list.append(row);
    this.#rows.set(device.id, row);
  }

  async #open(device) {
    await this.#app.look(device.id);
    location.hash = '#timeline';
  }

  /** A device from a link asks before it pairs: a tap is what pairs, never an address alone. */
  #offer(device) {
    const pair = h('button', { type: 'button', class: 'button primary', test: 'pair', onclick: () => this.#pair(device) }, 'Pair');
    this.#step.replaceChildren(
      h('div', { class: 'panel' }, h('h2', {}, 'Pair with the box of this link?'), h('p', {}, 'You opened a link to a Nightjar box.'), h('div', { class: 'row' }, pair)),
    );
  }

  async #pair(device) {
    this.#attempt?.abort();
    const attempt = new AbortController();
    this.#attempt = attempt;
    this.#asked = device.id;
    const name = device.name || 'the box';
    this.#working(`Calling ${name}…`);
    try {
      const options = { onclosed: () => this.#closed(name), signal: attempt.signal };
      await this.#app.pair(device, this.#name.value.trim() || phoneName(navigator.userAgent), options);
      this.#app.notices.tell(`Paired with ${name}`);
      this.#step.replaceChildren();
      location.hash = '#timeline';
    } catch (error) {
      if (attempt.signal.aborted) return;
      this.#failed(device, error);
    }
  }

  #working(text) {
    this.#step.replaceChildren(h('div', { class: 'panel working', test: 'pairing' }, h('span', { class: 'pulse' }), h('p', {}, text)));
  }

  #closed(name) {
    if (this.#step.querySelector('[data-testid="pairing-closed"]')) return;
    const cancel = () => {
      this.#attempt?.abort();
      this.#step.replaceChildren();
    };
    this.#step.replaceChildren(
      h(
        'div',
        { class: 'panel', test: 'pairing-closed' },
        h('h2', {}, `Pairing is closed on ${name}`),
        h('p', {}, 'A box takes its first phone by itself. After that, somebody who is already paired opens it for five minutes:'),
        h(
          'ul',
          {},
          h('li', {}, 'On a paired phone: Home, then Add a phone.'),
          h('li', {}, 'Or on the box’s own console:', h('code', {}, 'curl -X POST http://127.0.0.1:8778/api/v1/pairing')),
        ),
        h('div', { class: 'row' }, h('span', { class: 'pulse' }), h('p', {}, 'Keeps knocking. This page pairs as soon as it opens.')),
        h('div', { class: 'row end' }, h('button', { type: 'button', class: 'button', onclick: cancel }, 'Stop')),
      ),
    );
  }

  #failed(device, error) {
    const again = h('button', { type: 'button', class: 'button primary', onclick: () => this.#pair(device) }, 'Try again');
    this.#step.replaceChildren(h('div', { class: 'panel bad', role: 'alert', test: 'pair-error' }, h('h2', {}, 'That did not work'), h('p', {}, error.message), h('div', { class: 'row end' }, again)));
  }
}

/** An app on an iPhone's Home Screen has a memory of its own: what Safari paired, it would not know. */
function homeScreenHint() {
  if (navigator.standalone !== false) return null;
  const steps = 'Tap Share, then Add to Home Screen, and pair in the app that appears there: it has a memory of its own.';
  return h('div', { class: 'panel calm' }, h('h2', {}, icon('phone'), 'To keep Nightjar on this phone'), h('p', {}, steps));
}
