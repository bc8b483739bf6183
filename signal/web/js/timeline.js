// The list of events as one filter sees it: newest first, merged from pages, pushes and the saved copy. No DOM, no I/O.

/** Events kept in one list: a list so long is read no further, and its oldest go for new ones. */
export const TIMELINE_EVENTS = 5000;
/** Changes remembered for pages under way; of more, the earliest are forgotten. */
export const TIMELINE_CHANGES = 1000;

/** A choice of labels: what the device is asked for, and the same here. */
const labels = (...names) => ({ query: `label=${names.join(',')}`, matches: ({ label }) => names.includes(label) });

/** The filters, in the order shown. `query` is the device's, `matches` the same choice made here. */
export const FILTERS = Object.freeze([
  { id: 'all', word: 'All', query: '', matches: () => true },
  { id: 'people', word: 'People', ...labels('person') },
  { id: 'vehicles', word: 'Vehicles', ...labels('bicycle', 'car', 'motorcycle', 'bus', 'truck') },
  { id: 'animals', word: 'Animals', ...labels('bird', 'cat', 'dog') },
  { id: 'motion', word: 'Motion', query: 'kind=motion', matches: (event) => event.kind === 'motion' },
]);

/** Events of one filter. Ids count up in the order of opening, so the id orders the list. */
export class Timeline {
  #byId = new Map();
  #sorted = null;
  #changed = new Map();
  /** How many single changes were taken: what a page is given that was asked for at this point. */
  changes = 0;
  /** Where to read on: a cursor, null at the end, undefined before the first page. */
  next = undefined;

  constructor(filter = FILTERS[0]) {
    this.filter = filter;
  }

  /** Newest first. */
  get events() {
    this.#sorted ??= [...this.#byId.values()].sort((a, b) => (a.id < b.id ? 1 : a.id > b.id ? -1 : 0));
    return this.#sorted;
  }

  has(id) {
    return this.#byId.has(id);
  }

  get(id) {
    return this.#byId.get(id);
  }

  /** Shows what was saved, until the device says more. */
  restore(events) {
    const unknown = events.filter((event) => this.filter.matches(event) && !this.#byId.has(event.id));
    for (const event of unknown) this.#byId.set(event.id, event);
    this.#sorted = null;
  }

  /** Whether the list is as long as it may get. */
  get full() {
    return this.#byId.size >= TIMELINE_EVENTS;
  }

  /**
   * Takes the newest page. What the device no longer has goes; where the page does not reach what is known, all goes.
   * What was pushed, changed or removed after `since` (`changes` when the page was asked for) is newer than the page.
   */
  absorbNewest({ events, next }, since = Infinity) {
    const oldest = events.at(-1)?.id;
    const later = (id) => this.#changed.get(id) > since;
    const reaches = next === null || events.some(({ id }) => this.#byId.has(id) && !later(id));
    this.#replace(events, (id) => !reaches || next === null || id >= oldest, later);
    this.next = next;
    this.#trim();
  }

  /** Takes the page that follows the cursor; `since` as above. */
  absorbOlder({ events, next }, since = Infinity) {
    const newest = events[0]?.id ?? '';
    const oldest = events.at(-1)?.id ?? '';
    const later = (id) => this.#changed.get(id) > since;
    this.#replace(events, (id) => id < newest && (next === null || id >= oldest), later);
    this.next = next;
    this.#trim();
  }

  /** Takes one pushed event: `new`, `changed`, or `ignored` (of another filter, or older than what is loaded). */
  upsert(event) {
    if (!this.filter.matches(event)) return 'ignored';
    const known = this.#byId.has(event.id);
    const oldest = this.events.at(-1)?.id;
    if (!known && this.next && oldest !== undefined && event.id < oldest) return 'ignored';
    this.#byId.set(event.id, event);
    this.#sorted = null;
    this.#change(event.id);
    this.#trim();
    return known ? 'changed' : 'new';
  }

  /** Takes an event out; says whether it was there. */
  remove(id) {
    this.#sorted = null;
    this.#change(id);
    return this.#byId.delete(id);
  }

  #replace(events, covered, later) {
    const fresh = new Set(events.map(({ id }) => id));
    for (const id of this.#byId.keys()) if (covered(id) && !fresh.has(id) && !later(id)) this.#byId.delete(id);
    for (const event of events) if (this.filter.matches(event) && !later(event.id)) this.#byId.set(event.id, event);
    this.#sorted = null;
  }

  #change(id) {
    this.changes += 1;
    this.#changed.delete(id);
    this.#changed.set(id, this.changes);
    if (this.#changed.size > TIMELINE_CHANGES) this.#changed.delete(this.#changed.keys().next().value);
  }

  /** Lets the oldest go; reading on would begin after what stays. */
  #trim() {
    if (this.#byId.size <= TIMELINE_EVENTS) return;
    const { events } = this;
    for (const { id } of events.slice(TIMELINE_EVENTS)) this.#byId.delete(id);
    this.#sorted = null;
    this.next = this.events.at(-1).id;
  }
}
