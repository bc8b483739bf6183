// The list of events: merged from pages, pushes and a saved copy, held against a plain filter and sort.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FILTERS, TIMELINE_EVENTS, Timeline } from '../../signal/web/js/timeline.js';

const id = (number) => number.toString(16).padStart(16, '0');
const event = (number, label = 'person') => ({
  id: id(number), kind: label === 'motion' ? 'motion' : 'object', label, started_ms: number * 1000, ended_ms: null, score: 0.7,
});
const events = (from, to) => Array.from({ length: from - to + 1 }, (_, at) => event(from - at));
const numbers = (timeline) => timeline.events.map((one) => parseInt(one.id, 16));

test('a page that reaches what is known joins it, and drops what the device dropped', () => {
  const timeline = new Timeline();
  timeline.restore(events(10, 5));
  timeline.absorbNewest({ events: [event(12), event(11), event(9), event(8)], next: id(8) });
  assert.deepEqual(numbers(timeline), [12, 11, 9, 8, 7, 6, 5]);
  timeline.absorbOlder({ events: [event(7), event(5), event(4)], next: null });
  assert.deepEqual(numbers(timeline), [12, 11, 9, 8, 7, 5, 4]);
  assert.equal(timeline.next, null);
});

test('a page that does not reach what is known replaces it', () => {
  const timeline = new Timeline();
  timeline.restore(events(10, 5));
  timeline.absorbNewest({ events: events(90, 80), next: id(80) });
  assert.deepEqual(numbers(timeline), numbers({ events: events(90, 80) }));
});

test('an empty device empties the list', () => {
  const timeline = new Timeline();
  timeline.restore(events(10, 5));
  timeline.absorbNewest({ events: [], next: null });
  assert.deepEqual(timeline.events, []);
});

test('pushes are new, change, or belong elsewhere', () => {
  const timeline = new Timeline(FILTERS.find((filter) => filter.id === 'people'));
  timeline.absorbNewest({ events: events(10, 8), next: id(8) });
  assert.equal(timeline.upsert(event(11)), 'new');
  assert.equal(timeline.upsert({ ...event(11), ended_ms: 12_000 }), 'changed');
  assert.equal(timeline.upsert(event(12, 'car')), 'ignored');
  assert.equal(timeline.upsert(event(3)), 'ignored', 'older than what is loaded: read when scrolled to');
  assert.equal(timeline.get(id(11)).ended_ms, 12_000);
  assert.equal(timeline.remove(id(11)), true);
  assert.deepEqual(numbers(timeline), [10, 9, 8]);
});

test('filters part the events as the device does', () => {
  const labels = ['person', 'car', 'truck', 'train', 'cat', 'bird', 'horse', 'motion', 'chair'];
  const chosen = (filter) => labels.filter((label) => FILTERS.find(({ id: name }) => name === filter).matches(event(1, label)));
  assert.deepEqual(chosen('all'), labels);
  assert.deepEqual(chosen('people'), ['person']);
  assert.deepEqual(chosen('vehicles'), ['car', 'truck']);
  assert.deepEqual(chosen('animals'), ['cat', 'bird']);
  assert.deepEqual(chosen('motion'), ['motion']);
});

test('what happened while a page was under way is newer than the page', () => {
  const timeline = new Timeline();
  timeline.restore(events(10, 5));
  const since = timeline.changes;
  timeline.upsert(event(12));
  timeline.upsert({ ...event(9), favourite: true });
  timeline.remove(id(8));
  timeline.absorbNewest({ events: events(11, 6), next: id(6) }, since);
  assert.deepEqual(numbers(timeline), [12, 11, 10, 9, 7, 6, 5]);
  assert.equal(timeline.get(id(9)).favourite, true);
  timeline.absorbNewest({ events: events(12, 6), next: id(6) }, timeline.changes);
  assert.deepEqual(numbers(timeline), [12, 11, 10, 9, 8, 7, 6, 5], 'a page asked for later is believed');
});

test('a push alone does not join a page to what is known', () => {
  const timeline = new Timeline();
  timeline.restore(events(10, 5));
  const since = timeline.changes;
  timeline.upsert(event(90));
  timeline.absorbNewest({ events: events(90, 80), next: id(80) }, since);
  assert.deepEqual(numbers(timeline), numbers({ events: events(90, 80) }));
});

test('a list grows no further than its bound, whoever brings the events', () => {
  const timeline = new Timeline();
  const top = TIMELINE_EVENTS + 100;
  timeline.absorbNewest({ events: events(top, 101 + 50), next: id(151) });
  assert.equal(timeline.full, false);
  timeline.absorbOlder({ events: events(150, 51), next: id(51) });
  assert.equal(timeline.events.length, TIMELINE_EVENTS);
  assert.equal(timeline.full, true);
  assert.equal(timeline.next, id(101), 'reading on would begin after what stays');
});
