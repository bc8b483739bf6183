// The timeline of one device: the saved copy first, then the device's own pages and pushes, saved again.
import { FILTERS, Timeline } from './timeline.js';
import { SAVED_EVENTS } from './store.js';

/** Events in a page that somebody waits for. */
export const PAGE_EVENTS = 50;
/** Changes are saved at most so often, ms. */
export const SAVE_EVERY_MS = 2000;

/** Tells `change` (detail: {arrived: event|null}) when a list changed, and `trouble` (detail: error) when reading failed. */
export class Feed extends EventTarget {
  #device;
  #store;
  #pictures;
  #favourites;
  #timelines = new Map();
  #hidden = new Set();
  #saveTimer = 0;
  #abort = new AbortController();
  /** When the device was last heard, ms; null when never. */
  synced_ms = null;
  /** Whether the device's own first page is in. */
  fresh = false;
  /** Whether the saved copy has been read. */
  restored = false;

  constructor(device, store, pictures, favourites) {
    super();
    this.#device = device;
    this.#store = store;
    this.#pictures = pictures;
    this.#favourites = favourites;
    const { signal } = this.#abort;
    device.addEventListener('state', () => this.#state(), { signal });
    device.addEventListener('push', ({ detail }) => this.#take(detail), { signal });
    document.addEventListener('visibilitychange', () => document.hidden && this.#saveNow(), { signal });
    addEventListener('pagehide', () => this.#saveNow(), { signal });
  }

  /** Shows the saved copy. */
  async restore() {
    const saved = await this.#store.events(this.#device.id);
    this.synced_ms = (await this.#store.meta(`synced/${this.#device.id}`)) ?? null;
    this.#device.status ??= (await this.#store.meta(`status/${this.#device.id}`)) ?? null;
    if (!this.fresh) this.#all.restore(saved);
    this.restored = true;
    this.#changed();
  }

  /** Lets the device go. */
  stop() {
    this.#abort.abort();
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
    return this.#device.connected && this.#timeline(filter).next !== null;
  }

  get(id) {
    return this.#all.get(id) ?? [...this.#timelines.values()].map((timeline) => timeline.get(id)).find(Boolean);
  }

  #state() {
    if (!this.#device.connected) {
      this.fresh = false;
      return;
    }
    if (this.fresh) return;
    this.fresh = true;
    this.refresh();
  }

  /** Reads the newest page again, and on to as many as are saved. */
  async refresh() {
    try {
      for (const id of [...this.#timelines.keys()]) if (id !== 'all') this.#timelines.delete(id);
      this.#all.absorbNewest(await this.#page('all', { limit: PAGE_EVENTS }));
      this.#heard();
      const known = this.#all.next;
      if (known) this.#all.absorbOlder(await this.#page('all', { limit: SAVED_EVENTS - PAGE_EVENTS, before: known }));
      this.#heard();
      this.#store.setMeta(`status/${this.#device.id}`, this.#device.status).catch(() => {});
      const newest = this.#all.events.slice(0, SAVED_EVENTS);
      await this.#pictures.save(this.#device, newest);
      await this.#favourites.sync(this.#device, newest);
    } catch (error) {
      if (this.#device.connected) this.dispatchEvent(new CustomEvent('trouble', { detail: error }));
    }
  }

  /** Reads the page after the last one of a filter. */
  async older(filter) {
    const timeline = this.#timeline(filter);
    if (!this.more(filter)) return;
    const before = timeline.next;
    const page = await this.#page(filter, before ? { limit: PAGE_EVENTS, before } : { limit: PAGE_EVENTS });
    if (timeline.next !== before) return;
    if (before) timeline.absorbOlder(page);
    else timeline.absorbNewest(page);
    this.#changed();
  }

  #page(filter, query) {
    const { query: choice } = FILTERS.find(({ id }) => id === filter);
    const parameters = new URLSearchParams(query).toString();
    return this.#device.json(`/api/v1/events?${parameters}${choice && `&${choice}`}`);
  }

  #take(message) {
    if (message.type === 'missed') {
      this.refresh();
    } else if (message.type === 'deleted') {
      for (const timeline of this.#timelines.values()) timeline.remove(message.id);
      this.#heard();
    } else if (message.event) {
      const fates = [...this.#timelines.values()].map((timeline) => timeline.upsert(message.event));
      this.#heard(fates.includes('new') ? message.event : null);
      this.#favourites.sync(this.#device, [message.event]).catch(() => {});
    }
  }

  /** Takes an event out of sight, and returns how to bring it back. */
  hide(id) {
    this.#hidden.add(id);
    this.#changed();
    return () => {
      this.#hidden.delete(id);
      this.#changed();
    };
  }

  /** Deletes an event on the device. */
  async remove(id) {
    try {
      await this.#device.send('DELETE', `/api/v1/events/${id}`);
    } catch (error) {
      if (error.status !== 404) throw error;
    }
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
