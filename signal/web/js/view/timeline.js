// The timeline: filters, cards by day, older ones by scrolling, new ones by themselves; and what to say when it is empty.
import { FILTERS } from '../timeline.js';
import { count, title } from '../words.js';
import { h, say } from './dom.js';
import { icon } from './icons.js';
import { List } from './list.js';
import { Live } from './live.js';

/** Older events are read when their place comes this near. */
const AHEAD = '900px';
/** Skeletons are shown only after so long, ms, so that a quick answer does not flash. */
const SKELETON_AFTER_MS = 250;

const CHOICES = [...FILTERS, { id: 'favourites', word: 'Favourites' }];

export class TimelineView {
  title = 'Timeline';
  #app;
  #filter = 'all';
  #chips;
  #list;
  #empty = h('div', { class: 'empty-place' });
  #fresh;
  #foot = h('div', { class: 'foot', 'aria-live': 'polite' });
  #unwatch = new AbortController();
  #arrived = 0;
  #reading = false;
  #failed = false;
  #live = null;
  #skeleton = 0;

  constructor(app, onstar) {
    this.#app = app;
    this.#list = new List({
      picture: ({ event }) => this.#picture(event),
      starred: ({ device, event }) => app.favourites.has(device, event.id) || event.favourite,
      onstar,
    });
    this.#chips = h(
      'div',
      { class: 'chips', role: 'group', 'aria-label': 'Show' },
      CHOICES.map(({ id, word }) => this.#chip(id, word)),
    );
    this.#fresh = h('button', { type: 'button', class: 'fresh', hidden: true, test: 'new-events', onclick: () => this.#up() });
    this.element = h('section', { class: 'view timeline', 'aria-label': 'Timeline' }, h('h1', { class: 'unseen-text' }, 'Timeline'), this.#chips, this.#fresh, this.#empty, this.#list.element, this.#foot);
    this.#watchEnd();
    app.addEventListener('device', () => this.#device());
    app.favourites.addEventListener('change', () => this.#render());
    addEventListener('scroll', () => scrollY < 80 && this.#arrival(0), { passive: true });
    this.#device();
  }

  #chip(id, word) {
    const glyph = id === 'all' ? null : icon(id === 'favourites' ? 'star' : id);
    const attributes = { type: 'button', class: 'chip', test: `filter-${id}`, 'data-filter': id, 'aria-pressed': String(id === 'all') };
    return h('button', { ...attributes, onclick: () => this.choose(id) }, glyph, word);
  }

  /** Chooses a filter. */
  choose(id) {
    this.#filter = id;
    this.#failed = false;
    for (const chip of this.#chips.children) chip.setAttribute('aria-pressed', String(chip.dataset.filter === id));
    this.#arrival(0);
    scrollTo({ top: 0 });
    this.#render();
    if (id !== 'favourites') this.#more();
  }

  #device() {
    this.#unwatch.abort();
    this.#unwatch = new AbortController();
    this.#stopLive();
    this.#failed = false;
    const { signal } = this.#unwatch;
    const { device, feed } = this.#app;
    feed?.addEventListener('change', ({ detail }) => this.#change(detail.arrived), { signal });
    feed?.addEventListener('trouble', ({ detail }) => this.#app.notices.trouble(detail.message), { signal });
    device?.addEventListener('state', () => this.#state(), { signal });
    this.#render();
  }

  #state() {
    this.#list.again();
    if (this.#failed && this.#app.device.connected) this.#more();
    this.#render();
  }

  #change(arrived) {
    this.#render();
    if (!arrived) return;
    const matching = this.#items().find(({ event }) => event.id === arrived.id);
    if (!matching) return;
    this.#list.greet(matching);
    this.#app.notices.whisper(title(arrived));
    if (scrollY > 300) this.#arrival(this.#arrived + 1);
  }

  #arrival(amount) {
    this.#arrived = amount;
    this.#fresh.hidden = amount === 0;
    if (amount > 0) this.#fresh.replaceChildren(icon('up'), count(amount, 'new event', 'new events'));
  }

  #up() {
    scrollTo({ top: 0, behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth' });
  }

  #items() {
    const { device, feed, favourites } = this.#app;
    if (!device) return [];
    const camera = (device.status?.cameras?.length ?? 0) > 1;
    const events = this.#filter === 'favourites' ? this.#starred(favourites, device, feed) : feed.events(this.#filter);
    return events.map((event) => ({ event, device: device.id, camera }));
  }

  #starred(favourites, device, feed) {
    return favourites.list().filter((kept) => kept.device === device.id).map(({ id, event }) => feed.get(id) ?? event);
  }

  async #picture(event) {
    const { device, pictures, favourites } = this.#app;
    const kept = favourites.get(device.id, event.id);
    if (kept?.thumbnail) return pictures.hold(`${device.id}/${event.id}/kept`, kept.thumbnail);
    return pictures.thumbnail(device, event);
  }

  /** The neighbours of an event in the list as shown. */
  around(id) {
    const items = this.#items().filter(({ event }) => event.kind !== 'health');
    const at = items.findIndex(({ event }) => event.id === id);
    return { newer: items[at - 1] ?? null, older: at < 0 ? null : (items[at + 1] ?? null) };
  }

  #render() {
    const items = this.#items();
    this.#list.render(items);
    clearTimeout(this.#skeleton);
    if (items.length > 0 || !this.#app.device) this.#fill(null);
    else this.#void();
    const { feed } = this.#app;
    const end = feed?.fresh && items.length > 8 && this.#filter !== 'favourites' && !feed.more(this.#filter);
    if (this.#failed) return;
    if (end) say(this.#foot, feed.full(this.#filter) ? 'The list ends here. A filter reaches further back.' : 'That is everything the box has kept.');
    else if (!this.#reading) say(this.#foot, '');
  }

  #void() {
    const { device, feed } = this.#app;
    if (this.#filter === 'favourites') this.#fill('favourites');
    else if (device.connected && feed.fresh && feed.synced_ms) this.#fill(this.#filter === 'all' ? 'first' : this.#reading ? null : 'filter');
    else if (device.connected || device.state === 'connecting') this.#skeleton = setTimeout(() => this.#fill('skeleton'), SKELETON_AFTER_MS);
    else this.#fill(this.#filter === 'all' ? 'away' : 'filter');
  }

  #fill(what) {
    if (this.#empty.dataset.what === String(what)) return;
    this.#empty.dataset.what = String(what);
    this.#stopLive();
    this.#empty.replaceChildren(...(what ? [this.#voids(what)] : []));
  }

  #voids(what) {
    switch (what) {
      case 'skeleton':
        return h('div', { class: 'list', 'aria-label': 'Loading' }, [...Array(6)].map(() => h('div', { class: 'card skeleton' }, h('span', { class: 'frame' }), h('span', { class: 'bar' }), h('span', { class: 'bar short' }))));
      case 'first':
        return this.#firstUse();
      case 'favourites':
        return message('star', 'No favourites yet', 'Tap the star on a card. The picture is then kept on this phone too, even when the box is away.');
      case 'away':
        return message('moon', 'Nothing saved yet', 'As soon as the box answers, its events appear here and are kept for offline reading.');
      default:
        return message('moon', 'Nothing like that', 'No event matches this filter.', h('button', { type: 'button', class: 'button', test: 'clear-filter', onclick: () => this.choose('all') }, 'Show all'));
    }
  }

  #firstUse() {
    const { device } = this.#app;
    const camera = device.status?.cameras?.[0]?.name;
    this.#live = camera ? new Live(device, camera) : null;
    this.#live?.show();
    const text = camera ? 'Walk past the camera. What it sees appears here by itself.' : 'The box has no camera yet. Plug one in, and it begins to watch.';
    return message('moon', 'Nothing yet', text, this.#live?.element);
  }

  #stopLive() {
    this.#live?.hide();
    this.#live = null;
  }

  #watchEnd() {
    const end = h('div', { class: 'end', 'aria-hidden': 'true' });
    this.element.append(end);
    new IntersectionObserver(([entry]) => entry.isIntersecting && this.#more(), { rootMargin: AHEAD }).observe(end);
    this.#end = end;
  }

  #end;

  async #more() {
    const { feed } = this.#app;
    if (this.#reading || this.#filter === 'favourites' || !feed?.more(this.#filter)) return;
    this.#reading = true;
    this.#failed = false;
    say(this.#foot, 'Reading older events…');
    try {
      await feed.older(this.#filter);
      say(this.#foot, '');
    } catch (error) {
      this.#failed = true;
      this.#foot.replaceChildren(`Older events could not be read: ${error.message} `, h('button', { type: 'button', class: 'text-button', test: 'older-again', onclick: () => this.#more() }, 'Try again'));
      return;
    } finally {
      this.#reading = false;
      this.#render();
    }
    const near = this.#end.getBoundingClientRect().top < innerHeight + 900;
    if (near && this.element.isConnected) requestAnimationFrame(() => this.#more());
  }

  show() {
    this.#list.show();
    this.#more();
  }

  hide() {
    this.#list.hide();
  }

  focus(id) {
    this.#list.focus({ device: this.#app.device?.id, event: { id } });
  }
}

/** A calm page for a list with nothing in it. */
export function message(glyph, heading, text, ...more) {
  return h('div', { class: 'empty' }, h('span', { class: 'empty-icon' }, icon(glyph)), h('h2', {}, heading), h('p', {}, text), ...more);
}
