// The timeline of one device: the saved copy first, then the device's own pages and pushes, saved again.
import { FILTERS, Timeline } from './timeline.js';
import { SAVED_EVENTS } from './store.js';

/** Events in a page that somebody waits for. */
export const PAGE_EVENTS = 50;
/** Events in the first page of a list that shows nothing yet: what a screen holds and one may scroll to at once. */
export const FIRST_EVENTS = 20;
/** Changes are saved at most so often, ms. */
export const SAVE_EVERY_MS = 2000;

/** Tells `change` (detail: {arrived: event|null}) when a list changed, and `trouble` (detail: error) when reading failed. */
export class Feed extends EventTarget {
  #device;
  #store;
  #pictures;
  #favourites;
  #wishes;
  #timelines = new Map();
  #hidden = new Set();
  #saveTimer = 0;
  /** The newest page that is asked for behind the device's greeting: {query, since}. */
  #newest = null;
  #abort = new AbortController();
  #stopped = false;
  /** Whether the device's first page was asked for since it connected. */
  #begun = false;
  /** When the device was last heard, ms; null when never. */
  synced_ms = null;
  /** Whether the device's own first page is in. */
  fresh = false;
  /** Whether the saved copy has been read. */
  restored = false;

  constructor(device, { store, pictures, favourites, wishes }) {
    super();
    this.#device = device;
    this.#store = store;
    this.#pictures = pictures;
    this.#favourites = favourites;
    this.#wishes = wishes;
    const { signal } = this.#abort;
    device.ahead = () => this.#ahead();
    device.addEventListener('state', () => this.#state(), { signal });
    device.addEventListener('push', ({ detail }) => this.#take(detail), { signal });
    document.addEventListener('visibilitychange', () => document.hidden && this.#saveNow(), { signal });
    addEventListener('pagehide', () => this.#saveNow(), { signal });
  }

  /** Shows the saved copy. */
  async restore() {
    await this.#wishes.load(this.#device).catch(() => {});
    for (const { id, gone } of this.#wishes.of(this.#device)) if (gone) this.#hidden.add(id);
    const saved = await this.#store.events(this.#device.id);
    this.synced_ms = (await this.#store.meta(`synced/${this.#device.id}`)) ?? null;
    this.#device.status ??= (await this.#store.meta(`status/${this.#device.id}`)) ?? null;
    this.#all.restore(saved);
    this.restored = true;
    this.#changed();
  }

  /** Lets the device go; `discard` leaves unsaved what is not saved yet. */
  stop({ discard = false } = {}) {
    this.#abort.abort();
    if (discard) clearTimeout(this.#saveTimer);
    if (discard) this.#saveTimer = 0;
    this.#stopped = true;
    this.#saveNow();
  }

  get #all() {
    return this.#timeline('all');
  }

  #timeline(id) {
    let timeline = this.#timelines.get(id);
    if (!timeline) {
      timeline = new Timeline(FILTERS.find((filter) => filter.id === id));
      if (id !== 'all') timeline.restore(this.#all.events);
      this.#timelines.set(id, timeline);
    }
    return timeline;
  }

  /** The events of a filter, newest first. */
  events(filter) {
    return this.#timeline(filter).events.filter(({ id }) => !this.#hidden.has(id));
  }

  /** Whether there may be older ones to read. */
  more(filter) {
    return this.#device.connected && this.#timeline(filter).next !== null && !this.full(filter);
  }

  /** Whether a list is as long as one may get. */
  full(filter) {
    return this.#timeline(filter).full;
  }

  get(id) {
    return this.#all.get(id) ?? [...this.#timelines.values()].map((timeline) => timeline.get(id)).find(Boolean);
  }

  #state() {
    if (!this.#device.connected) {
      this.fresh = this.#begun = false;
      // Nothing more comes for now: what is shown is what offline reading gets.
      this.#saveNow();
      return;
    }
    if (this.#begun) return;
    this.#begun = true;
    this.refresh();
  }

  /** The newest page as it is to be asked for now, and `changes` as they are. */
  #asking() {
    const limit = this.#all.events.length > 0 ? PAGE_EVENTS : FIRST_EVENTS;
    return { query: { limit }, since: this.#all.changes };
  }

  /** What is asked behind the greeting: the newest page, where the device need not be told of wishes before it. */
  #ahead() {
    this.#newest = this.#wishes.of(this.#device).length > 0 ? null : this.#asking();
    return this.#newest && pathOf('all', this.#newest.query);
  }

  /** Reads the newest page again, and on to as many as are saved. */
  async refresh() {
    try {
      for (const id of [...this.#timelines.keys()]) if (id !== 'all') this.#timelines.delete(id);
      await this.#wishes.tell(this.#device);
      const { query, since } = this.#newest ?? this.#asking();
      this.#newest = null;
      const [page, saved] = await Promise.all([this.#page('all', query), this.#pictures.saved(this.#device)]);
      this.#all.absorbNewest(page, since);
      this.fresh = this.#device.connected;
      const pictures = this.#pictures.save(this.#device, page.events.slice(0, FIRST_EVENTS), saved, FIRST_EVENTS);
      await new Promise((asked) => setTimeout(asked)); // they are on their way while the list is drawn
      this.#heard();
      await pictures;
      await this.#readOn(SAVED_EVENTS - query.limit);
      this.#store.setMeta(`status/${this.#device.id}`, this.#device.status).catch(() => {});
      const newest = this.#all.events.slice(0, SAVED_EVENTS);
      await this.#pictures.save(this.#device, newest, await this.#pictures.saved(this.#device));
      await this.#favourites.sync(this.#device, newest.map(({ id }) => id), (id) => this.#all.get(id));
    } catch (error) {
      if (this.#device.connected) this.dispatchEvent(new CustomEvent('trouble', { detail: error }));
    }
  }

  /** Reads so many more, where there are any. */
  async #readOn(limit) {
    const before = this.#all.next;
    const since = this.#all.changes;
    if (before) this.#all.absorbOlder(await this.#page('all', { limit, before }), since);
    this.#heard();
  }

  /** Reads the page after the last one of a filter. */
  async older(filter) {
    const timeline = this.#timeline(filter);
    if (!this.more(filter)) return;
    const before = timeline.next;
    const since = timeline.changes;
    const page = await this.#page(filter, before ? { limit: PAGE_EVENTS, before } : { limit: PAGE_EVENTS });
    if (timeline.next !== before) return;
    if (before) timeline.absorbOlder(page, since);
    else timeline.absorbNewest(page, since);
    this.#changed();
  }

  #page(filter, query) {
    return this.#device.json(pathOf(filter, query));
  }

  #take(message) {
    if (message.type === 'missed') {
      this.refresh();
    } else if (message.type === 'deleted') {
      this.#gone(message.id);
    } else if (message.event) {
      const fates = [...this.#timelines.values()].map((timeline) => timeline.upsert(message.event));
      this.#heard(fates.includes('new') ? message.event : null);
      this.#favourites.sync(this.#device, [message.event.id], () => message.event).catch(() => {});
    }
  }

  /**
   * Takes an event out of sight and keeps the wish that it be gone: `undo` brings it back, `final` tells the device,
   * which may be away by then and is told when it is back.
   */
  hide(id) {
    const device = this.#device;
    this.#hidden.add(id);
    const kept = this.#wishes.keep(device, id, { gone: true }, { held: true }).catch(() => {});
    this.#changed();
    const show = () => {
      this.#hidden.delete(id);
      this.#changed();
    };
    const undo = async () => {
      show();
      await kept;
      await this.#wishes.drop(device, id);
    };
    const final = async () => {
      await kept;
      try {
        if (await this.#wishes.release(device, id)) this.#gone(id);
      } catch (error) {
        show();
        throw error;
      }
    };
    return { undo, final };
  }

  #gone(id) {
    for (const timeline of this.#timelines.values()) timeline.remove(id);
    this.#hidden.delete(id);
    this.#heard();
  }

  /** Marks an event as seen by its owner. */
  async review(event) {
    if (event.reviewed || !this.#device.connected) return;
    this.amend(event.id, { reviewed: true });
    await this.#device.send('PUT', `/api/v1/events/${event.id}`, { reviewed: true }).catch(() => {});
  }

  /** Shows a change of the owner's at once; the device's push confirms it. */
  amend(id, change) {
    for (const timeline of this.#timelines.values()) {
      if (timeline.has(id)) timeline.upsert({ ...timeline.get(id), ...change });
    }
    this.#changed();
  }

  #heard(arrived = null) {
    if (this.#stopped) return;
    this.synced_ms = Date.now();
    this.#changed(arrived);
    if (this.#saveTimer) return;
    this.#saveTimer = setTimeout(() => this.#saveNow(), SAVE_EVERY_MS);
  }

  /** Saves what changed since the last time, if anything did. */
  #saveNow() {
    if (!this.#saveTimer) return;
    clearTimeout(this.#saveTimer);
    this.#saveTimer = 0;
    this.#store.saveEvents(this.#device.id, this.#all.events).catch(() => {});
    this.#store.setMeta(`synced/${this.#device.id}`, this.synced_ms).catch(() => {});
  }

  #changed(arrived = null) {
    this.dispatchEvent(new CustomEvent('change', { detail: { arrived } }));
  }
}

function pathOf(filter, query) {
  const { query: choice } = FILTERS.find(({ id }) => id === filter);
  return `/api/v1/events?${new URLSearchParams(query)}${choice && `&${choice}`}`;
}
