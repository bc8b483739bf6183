// Home: the box and what it runs on, its cameras live, the phones that are paired with it, the boxes this phone knows, and what leaves the house.
import { count, duration, size, ago } from '../words.js';
import { Cameras } from './cameras.js';
import { Devices } from './devices.js';
import { h, say } from './dom.js';
import { icon } from './icons.js';
import { install } from './install.js';
import { Phones } from './phones.js';
import { System } from './system.js';

/** The status is read anew so often while somebody looks, ms. */
export const STATUS_EVERY_MS = 10_000;

export class HomeView {
  title = 'Home';
  #app;
  #timer = 0;
  /** Which showing this is; 0 while hidden. A loop of an earlier one ends by itself. */
  #turn = 0;
  #turns = 0;
  #facts = h('dl', { class: 'facts' });
  #name = h('h1', { class: 'device-name', test: 'device-name' });
  #form;
  #input = h('input', { id: 'device-name', maxlength: '40', autocomplete: 'off', required: true });
  #rename;
  #cameras;
  #phones;
  #devices;
  #system;
  #head;

  constructor(app) {
    this.#app = app;
    this.#cameras = new Cameras(app);
    this.#phones = new Phones(app);
    this.#devices = new Devices(app);
    this.#system = new System(app);
    this.#rename = h('button', { type: 'button', class: 'round', 'aria-label': 'Rename', title: 'Rename', test: 'rename', onclick: () => this.#edit(true) }, icon('pen'));
    this.#form = h(
      'form',
      { class: 'row rename', hidden: true, onsubmit: (event) => this.#submit(event) },
      h('label', { class: 'unseen-text', for: 'device-name' }, 'Name of the box'),
      this.#input,
      h('button', { class: 'button primary', test: 'rename-save' }, 'Save'),
      h('button', { type: 'button', class: 'button', onclick: () => this.#edit(false) }, 'Cancel'),
    );
    this.#head = h('div', { class: 'home-head' }, h('div', { class: 'row' }, this.#name, this.#rename), this.#form);
    const box = h('section', { class: 'panel', 'aria-label': 'The box' }, h('h2', {}, icon('disk'), 'The box'), this.#facts);
    this.element = h(
      'section',
      { class: 'view home', 'aria-label': 'Home' },
      this.#head,
      h('div', { class: 'column' }, this.#cameras.element, box, this.#system.element),
      h('div', { class: 'column' }, this.#phones.element, this.#devices.element, install(), about()),
    );
    app.addEventListener('device', () => this.#render());
    app.addEventListener('state', () => this.#render());
    this.#render();
  }

  #edit(on) {
    this.#form.hidden = !on;
    this.#head.firstElementChild.hidden = on;
    if (on) {
      this.#input.value = this.#app.device.name;
      this.#input.select();
    } else {
      this.#rename.focus();
    }
  }

  async #submit(event) {
    event.preventDefault();
    const name = this.#input.value.trim();
    if (!name) return;
    try {
      await this.#app.rename(name);
      this.#edit(false);
    } catch (error) {
      this.#app.notices.trouble(`The new name was not taken: ${error.message}`);
    }
  }

  #render() {
    const { device, feed } = this.#app;
    if (!device) return;
    const { status, connected } = device;
    say(this.#name, device.name);
    this.#rename.disabled = !connected;
    const store = status?.store;
    const facts = [
      ['Kept', store ? `${count(store.events, 'event', 'events')}, ${size(store.bytes)}` : '–'],
      store?.oldest_ms ? ['Oldest', ago(store.oldest_ms, Date.now())] : null,
      store?.quarantined ? ['Damaged and set aside', count(store.quarantined, 'record', 'records')] : null,
      ['Awake for', status && connected ? duration(status.uptime_ms) : '–'],
      ['Version', status?.version ?? '–'],
      connected ? null : ['Last heard', feed?.synced_ms ? ago(feed.synced_ms, Date.now()) : 'never'],
      status?.clock_set === false ? ['Clock', 'Not set: times may be wrong'] : null,
    ].filter(Boolean);
    this.#facts.replaceChildren(...facts.map(([term, value]) => h('div', {}, h('dt', {}, term), h('dd', {}, value))));
    this.#cameras.render();
    this.#phones.render();
    this.#devices.render();
    this.#system.render();
  }

  show() {
    this.#turn = this.#turns += 1;
    this.#cameras.show();
    this.#phones.show();
    this.#system.show();
    this.#render();
    this.#tick(this.#turn);
  }

  hide() {
    this.#turn = 0;
    clearTimeout(this.#timer);
    this.#cameras.hide();
    this.#phones.hide();
    this.#system.hide();
  }

  async #tick(turn) {
    if (this.#app.device?.connected && !document.hidden) await this.#app.device.refresh().catch(() => {});
    if (turn === this.#turn) this.#timer = setTimeout(() => this.#tick(turn), STATUS_EVERY_MS);
  }
}

function about() {
  return h(
    'section',
    { class: 'panel', 'aria-label': 'What leaves your home' },
    h('h2', {}, icon('moon'), 'What leaves your home'),
    h('p', {}, 'Pictures go from the box to paired phones, encrypted, and nowhere else. The meeting point introduces phone and box to each other; it keeps nothing and sees no picture. There is no account.'),
    window.isSecureContext
      ? null
      : h('p', { class: 'note' }, 'This page came over plain http: it works live, but cannot be installed or start without a network. Open it from an https address for that.'),
  );
}
