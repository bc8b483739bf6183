// The page around the views: name and connection above, three places below, and the bars that tell of trouble.
import { ago, stateSentence, stateWord } from '../words.js';
import { h, say } from './dom.js';
import { icon } from './icons.js';

const PLACES = [
  { id: 'timeline', word: 'Timeline', glyph: 'timeline' },
  { id: 'favourites', word: 'Favourites', glyph: 'star' },
  { id: 'home', word: 'Home', glyph: 'home' },
];

/** Ages in the bars are told anew so often, ms. */
const TICK_MS = 10_000;
/** Connecting for so long, the page says that it shows a saved copy, ms. */
const PATIENCE_MS = 2000;

export class Shell {
  #app;
  #name = h('span', { class: 'name' });
  #state = h('span', { class: 'state', test: 'connection', role: 'status' });
  #offline = h('div', { class: 'bar', hidden: true, test: 'offline-banner' });
  #insecure = h('div', { class: 'bar calm', hidden: true, test: 'insecure-banner' });
  #version = h('div', { class: 'bar good', hidden: true, role: 'status', test: 'new-version' });
  #main = h('main', { id: 'main', tabindex: '-1' });
  #tabs;
  #view = null;
  #connecting_ms = null;

  constructor(app) {
    this.#app = app;
    this.#tabs = h(
      'nav',
      { class: 'tabs', 'aria-label': 'Places' },
      PLACES.map(({ id, word, glyph }) => h('a', { href: `#${id}`, class: 'tab', test: `tab-${id}`, 'data-place': id }, icon(glyph), h('span', {}, word))),
    );
    const brand = h('a', { class: 'brand', href: '#timeline', 'aria-label': 'Nightjar' }, h('img', { src: 'icons/icon.svg', alt: '', width: '32', height: '32' }));
    this.element = h(
      'div',
      { class: 'shell' },
      h('header', { class: 'top' }, brand, this.#name, this.#state),
      this.#tabs,
      h('div', { class: 'bars' }, this.#version, this.#offline, this.#insecure),
      this.#main,
    );
    this.#fillOffline();
    app.addEventListener('device', () => this.#render());
    app.addEventListener('state', () => this.#render());
    app.addEventListener('devices', () => this.#render());
    setInterval(() => this.#render(), TICK_MS);
    this.#render();
  }

  #fillOffline() {
    const retry = h('button', { type: 'button', class: 'text-button', test: 'retry', onclick: () => this.#app.device?.wake() }, 'Try now');
    const again = h('a', { class: 'text-button', href: '#add' }, 'Pair again');
    this.#offline.append(icon('moon'), h('p', {}, h('strong'), ' ', h('span')), retry, again);
  }

  #render() {
    const { device, feed } = this.#app;
    const state = device?.state ?? 'none';
    this.element.classList.toggle('no-device', !device);
    say(this.#name, device?.name ?? 'Nightjar');
    this.#state.dataset.state = state;
    say(this.#state, stateWord(state));
    const sentence = device ? stateSentence(state, device.name) || this.#waiting(state, device.name) : '';
    const down = sentence !== '';
    this.#offline.hidden = !down;
    if (!down) return;
    const [, words, retry, again] = this.#offline.children;
    say(words.children[0], feed?.synced_ms ? `Saved copy, ${ago(feed.synced_ms, Date.now())}.` : 'Nothing saved yet.');
    say(words.children[1], sentence);
    retry.hidden = state === 'unpaired' || state === 'connecting';
    again.hidden = state !== 'unpaired';
  }

  /** What is said of a connection that takes its time; nothing of a quick one. */
  #waiting(state, name) {
    if (state !== 'connecting') {
      this.#connecting_ms = null;
      return '';
    }
    if (this.#connecting_ms === null) {
      this.#connecting_ms = Date.now();
      setTimeout(() => this.#render(), PATIENCE_MS);
    }
    return Date.now() - this.#connecting_ms < PATIENCE_MS ? '' : `Calling ${name}…`;
  }

  /** Says that this origin allows neither installing nor starting offline. */
  insecure() {
    this.#insecure.hidden = false;
    const close = h('button', { type: 'button', class: 'round', 'aria-label': 'Dismiss', onclick: () => (this.#insecure.hidden = true) }, icon('close'));
    this.#insecure.replaceChildren(icon('alert'), h('p', {}, h('strong', {}, 'Live only.'), ' This page came over plain http, so it cannot be installed or start offline. An https address of the same server can.'), close);
  }

  /** Offers a new version; `onreload` takes it. */
  offer(onreload) {
    const reload = h('button', { type: 'button', class: 'button primary', test: 'reload', onclick: onreload }, 'Reload');
    this.#version.replaceChildren(icon('check'), h('p', {}, 'A new version of Nightjar is ready.'), reload);
    this.#version.hidden = false;
  }

  /** Puts a view in the middle. */
  place(id, view) {
    for (const tab of this.#tabs.children) {
      if (tab.dataset.place === id) tab.setAttribute('aria-current', 'page');
      else tab.removeAttribute('aria-current');
    }
    document.title = `${view.title} · Nightjar`;
    if (this.#view === view) return false;
    this.#view?.hide();
    this.#view = view;
    this.#main.replaceChildren(view.element);
    return true;
  }
}
