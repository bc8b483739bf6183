// People's words: labels, lengths and points in time, amounts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as words from '../../signal/web/js/words.js';

const check = (act, table) => table.forEach(([input, expect]) => assert.equal(act(input), expect, String(input)));
const at = (text) => new Date(text).getTime();
const NOW = at('2026-03-10T14:00:00');

test('labels are people’s words, never a model’s', () => {
  check(words.labelWord, [
    ['person', 'Person'], ['motorcycle', 'Motorbike'], ['motion', 'Something moved'], ['camera_lost', 'Camera lost'],
    ['teddy_bear', 'Teddy bear'],
  ]);
  check((label) => words.family({ kind: 'object', label }), [
    ['person', 'people'], ['truck', 'vehicles'], ['cat', 'animals'], ['chair', 'things'],
  ]);
  assert.equal(words.family({ kind: 'motion', label: 'motion' }), 'motion');
  assert.equal(words.family({ kind: 'health', label: 'camera_lost' }), 'health');
});

test('plurals', () => {
  assert.equal(words.countLabel(1, 'person'), '1 person');
  assert.equal(words.countLabel(3, 'person'), '3 people');
  assert.equal(words.countLabel(2, 'bus'), '2 buses');
  assert.equal(words.count(0, 'event', 'events'), '0 events');
});

test('durations take at most two units', () => {
  check(words.duration, [
    [0, '1 s'], [14_000, '14 s'], [59_499, '59 s'], [60_000, '1 min'], [80_000, '1 min 20 s'], [610_000, '10 min'],
    [3_600_000, '1 h'], [7_500_000, '2 h 5 min'], [100_000_000, '27 h'], [300_000_000, '3 days'], [-5, '1 s'],
  ]);
});

test('titles say what and how long', () => {
  const event = { kind: 'object', label: 'person', started_ms: 1000, ended_ms: 15_000 };
  assert.equal(words.title(event), 'Person, 14 s');
  assert.equal(words.title({ ...event, ended_ms: null }), 'Person, now');
  assert.equal(words.title({ ...event, ended_ms: event.started_ms }), 'Person');
  assert.equal(words.title({ ...event, kind: 'health', label: 'camera_back' }), 'Camera is back');
});

test('a time from before the clock was set is called that', () => {
  for (const ms of [0, 67_000, Date.UTC(2023, 11, 31)]) {
    assert.equal(words.ago(ms, NOW), 'time not known');
    assert.equal(words.clock(ms), '–');
    assert.equal(words.moment(ms), 'Before the clock was set');
    assert.equal(words.day(ms, NOW), 'Before the clock was set');
  }
});

test('what the box says of itself', () => {
  const event = { kind: 'health', label: 'camera_moved', camera: 'porch', started_ms: at('2026-07-01T02:10:00') };
  assert.equal(words.healthSentence(event), 'Camera was moved: porch');
  const gap = { ...event, label: 'no_data', camera: '', ended_ms: at('2026-07-01T02:14:30') };
  assert.equal(words.healthSentence(gap), `No data from ${words.clock(gap.started_ms)} to ${words.clock(gap.ended_ms)}`);
  const long = { ...gap, ended_ms: at('2026-07-03T02:14:30') };
  assert.equal(words.healthSentence(long), `No data from ${words.moment(gap.started_ms)} to ${words.moment(long.ended_ms)}`);
});

test('how long ago', () => {
  check((text) => words.ago(at(text), NOW), [
    ['2026-03-10T13:59:55', 'just now'], ['2026-03-10T13:59:20', '40 s ago'], ['2026-03-10T13:57:10', '2 min ago'],
    ['2026-03-10T09:00:00', '5 h ago'], ['2026-03-10T01:00:00', '13 h ago'], ['2026-03-09T23:00:00', 'yesterday'],
    ['2026-03-05T12:00:00', '5 days ago'], ['2026-03-10T14:05:00', 'in the future'],
  ]);
  assert.equal(words.ago(at('2026-03-09T23:00:00'), at('2026-03-10T01:00:00')), '2 h ago');
});

test('days have headings', () => {
  assert.equal(words.day(at('2026-03-10T00:01:00'), NOW), 'Today');
  assert.equal(words.day(at('2026-03-09T23:59:00'), NOW), 'Yesterday');
  assert.equal(words.dayKey(at('2026-03-09T23:59:00')), '2026-3-9');
  assert.notEqual(words.day(at('2026-03-06T12:00:00'), NOW), words.day(at('2026-02-06T12:00:00'), NOW));
  assert.match(words.day(at('2024-03-06T12:00:00'), NOW), /2024/);
});

test('sizes and countdowns', () => {
  assert.equal(words.size(1400), '1.4 kB');
  assert.equal(words.size(128_000_000), '128 MB');
  check(words.countdown, [[300_000, '5:00'], [61_000, '1:01'], [0, '0:00'], [-9, '0:00']]);
});

test('every state that stops the page is explained, by name', () => {
  for (const state of ['away', 'offline', 'blocked', 'unpaired']) assert.notEqual(words.stateSentence(state, 'Porch'), '');
  for (const state of ['connecting', 'connected']) assert.equal(words.stateSentence(state, 'Porch'), '');
  assert.match(words.stateSentence('away', 'Porch'), /^Porch does not answer/);
  assert.match(words.stateSentence('offline', 'Porch'), /meeting point cannot be reached/);
  assert.match(words.stateSentence('blocked', 'Porch'), /^Porch .* this network blocks direct connections; a relay is needed/);
});

test('an update says what it is at', () => {
  const at = (state, more) => words.updateSentence({ state, version: '0.2.0', why: null, ...more });
  check((state) => at(state), [
    ['none', ''], ['from a newer box', ''], ['writing', 'Another phone sends a new version.'],
    ['staged', 'Restarting into version 0.2.0…'], ['committed', 'Version 0.2.0 runs now.'],
    ['failed', 'The last update failed.'],
  ]);
  assert.match(at('failed', { why: 'no frames came' }), /failed: no frames came\.$/);
  const sending = (sent) => words.updateSentence({ state: 'none' }, { sent, total: 200 });
  assert.equal(sending(101), 'Sending the new version. Keep this page open.');
  assert.equal(sending(200), 'Checking the new version…');
  assert.equal(words.wifiSentence({ ssid: 'Home', state: 'wrong passphrase' }), 'Home, wrong passphrase');
  const back = 'wrong passphrase; back on the former network';
  assert.equal(words.wifiSentence({ ssid: 'Home', state: back }), `Home, ${back}`);
  assert.equal(words.wifiSentence(null), 'Not set');
});

test('a phone finds a name for itself', () => {
  assert.equal(words.phoneName('Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)'), 'iPhone');
  assert.equal(words.phoneName('Mozilla/5.0 (Linux; Android 14; Pixel 8) Mobile'), 'Android phone');
  assert.equal(words.phoneName(''), 'Browser');
});
