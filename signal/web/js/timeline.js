// The list of events as one filter sees it: newest first, merged from pages, pushes and the saved copy. No DOM, no I/O.
import { family } from './words.js';

/** Events kept in one list; older ones are let go and read again when scrolled to. */
export const TIMELINE_EVENTS = 5000;

const labels = (...names) => `label=${names.join(',')}`;

/** The filters, in the order shown. `query` is the device's, `matches` the same choice made here. */
export const FILTERS = Object.freeze([
  { id: 'all', word: 'All', query: '', matches: () => true },
  { id: 'people', word: 'People', query: labels('person'), matches: (event) => family(event) === 'people' },
  {
    id: 'vehicles', word: 'Vehicles', query: labels('bicycle', 'car', 'motorcycle', 'bus', 'truck'),
    matches: (event) => family(event) === 'vehicles',
  },
  { id: 'animals', word: 'Animals', query: labels('bird', 'cat', 'dog'), matches: (event) => family(event) === 'animals' },
  { id: 'motion', word: 'Motion', query: 'kind=motion', matches: (event) => event.kind === 'motion' },
]);

/** Events of one filter. Ids count up in the order of opening, so the id orders the list. */
export class Timeline {
  #byId = new Map();
  #sorted = null;
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
    for (const event of events) if (this.filter.matches(event)) this.#byId.set(event.id, event);
    this.#sorted = null;
  }

  /** Takes the newest page. What the device no longer has goes; where the page does not reach what is known, all goes. */
  absorbNewest({ events, next }) {
    const oldest = events.at(-1)?.id;
    const reaches = next === null || events.some(({ id }) => this.#byId.has(id));
    if (!reaches) this.#byId.clear();
    this.#replace(events, (id) => next === null || id >= oldest);
    this.next = next;
  }

  /** Takes the page that follows the cursor. */
  absorbOlder({ events, next }) {
    const newest = events[0]?.id ?? '';
    const oldest = events.at(-1)?.id ?? '';
    this.#replace(events, (id) => id < newest && (next === null || id >= oldest));
    this.next = next;
  }

  /** Takes one pushed event: `new`, `changed`, or `ignored` (of another filter, or older than what is loaded). */
  upsert(event) {
    if (!this.filter.matches(event)) return 'ignored';
    const known = this.#byId.has(event.id);
    const oldest = this.events.at(-1)?.id;
    if (!known && this.next && oldest !== undefined && event.id < oldest) return 'ignored';
    this.#byId.set(event.id, event);
    this.#sorted = null;
    this.#trim();
    return known ? 'changed' : 'new';
  }

  /** Takes an event out; says whether it was there. */
  remove(id) {
    this.#sorted = null;
    return this.#byId.delete(id);
  }

  #replace(events, covered) {
    const fresh = new Set(events.map(({ id }) => id));
    for (const id of this.#byId.keys()) if (covered(id) && !fresh.has(id)) this.#byId.delete(id);
    for (const event of events) if (this.filter.matches(event)) this.#byId.set(event.id, event);
    this.#sorted = null;
  }

  #trim() {
    if (this.#byId.size > TIMELINE_EVENTS) this.remove(this.events.at(-1).id);
  }
}
