// The list of events: merged from pages, pushes and a saved copy, held against a plain filter and sort.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FILTERS, Timeline } from '../../signal/web/js/timeline.js';

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
  const labels = ['person', 'car', 'truck', 'cat', 'bird', 'motion', 'chair'];
  const chosen = (filter) => labels.filter((label) => FILTERS.find(({ id: name }) => name === filter).matches(event(1, label)));
  assert.deepEqual(chosen('all'), labels);
  assert.deepEqual(chosen('people'), ['person']);
  assert.deepEqual(chosen('vehicles'), ['car', 'truck']);
  assert.deepEqual(chosen('animals'), ['cat', 'bird']);
  assert.deepEqual(chosen('motion'), ['motion']);
});
