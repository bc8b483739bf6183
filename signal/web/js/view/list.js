// Cards by day, newest first; kept in place while events come, change and go.
import { day, dayKey } from '../words.js';
import { card } from './card.js';
import { arrange, h, say } from './dom.js';

/** Relative times are told anew so often, ms. */
const TICK_MS = 10_000;
/** Pictures are fetched this far below the screen. */
const AHEAD = '600px';

export class List {
  element = h('div', { class: 'list' });
  #cards = new Map();
  #days = new Map();
  #sight;
  #timer = 0;
  #items = [];

  /** @param {{picture: (item) => Promise<{url: string}|null>, starred: (item) => boolean, onstar: (item) => void}} options */
  constructor({ picture, starred, onstar }) {
    this.picture = picture;
    this.starred = starred;
    this.onstar = onstar;
    this.#sight = new IntersectionObserver((entries) => this.#look(entries), { rootMargin: AHEAD });
  }

  /** Shows {event, device, camera, deviceName}[], in this order. */
  render(items) {
    this.#items = items;
    const now = Date.now();
    const kept = new Set(items.map(keyOf));
    for (const [key, { element }] of this.#cards) if (!kept.has(key)) this.#drop(key, element);
    const nodes = [];
    let today = null;
    for (const item of items) {
      const at = dayKey(item.event.started_ms);
      if (at !== today) nodes.push(this.#day(at, item.event.started_ms, now));
      today = at;
      nodes.push(this.#card(item, now).element);
    }
    arrange(this.element, nodes);
    this.#count();
  }

  #card(item, now) {
    const key = keyOf(item);
    let shown = this.#cards.get(key);
    if (!shown) {
      shown = card(item.event, { ...item, onstar: () => this.onstar(this.#cards.get(key).item) });
      shown.element.dataset.key = key;
      this.#cards.set(key, shown);
      this.#sight.observe(shown.element);
    } else if (shown.event !== item.event) {
      shown.update(item.event);
      this.#sight.unobserve(shown.element);
      this.#sight.observe(shown.element);
    }
    shown.item = item;
    shown.starred(this.starred(item));
    shown.tick(now);
    return shown;
  }

  #drop(key, element) {
    this.#sight.unobserve(element);
    this.#cards.delete(key);
  }

  #day(key, ms, now) {
    let header = this.#days.get(key);
    if (!header) {
      header = h('h2', { class: 'day' }, h('span'), h('span', { class: 'count' }));
      this.#days.set(key, header);
    }
    say(header.firstElementChild, day(ms, now));
    return header;
  }

  #count() {
    const counts = new Map();
    for (const { event } of this.#items) {
      const key = dayKey(event.started_ms);
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    for (const [key, header] of this.#days) {
      if (counts.has(key)) say(header.lastElementChild, String(counts.get(key)));
      else this.#days.delete(key);
    }
  }

  #look(entries) {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      const shown = this.#cards.get(target.dataset.key);
      shown?.look(() => this.picture(shown.item));
    }
  }

  /** Asks again for the pictures in sight, as after the device came back. */
  again() {
    for (const { element } of this.#cards.values()) {
      this.#sight.unobserve(element);
      this.#sight.observe(element);
    }
  }

  /** Lets an arrival be noticed. */
  greet(item) {
    this.#cards.get(keyOf(item))?.element.classList.add('arrived');
  }

  focus(item) {
    this.#cards.get(keyOf(item))?.element.querySelector('a')?.focus();
  }

  show() {
    this.#timer = setInterval(() => this.render(this.#items), TICK_MS);
    this.render(this.#items);
  }

  hide() {
    clearInterval(this.#timer);
  }
}

const keyOf = ({ device, event }) => `${device}/${event.id}`;
