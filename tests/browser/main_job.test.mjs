// The main job in a real browser: find the edge, pair, see what the camera saw, keep what is
// liked, read it offline, and go on when the edge returns.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { confess, launch, named, open, picture, press } from './chromium.mjs';
import { ask, eventually, scratch, startEdge, startSignal } from './program.mjs';

const MODEL = join(process.env.NIGHTJAR_MODELS ?? '', 'ssd_mobilenet_v1_coco_quant.tflite');
const PICTURES = process.env.NIGHTJAR_PICTURES ?? '';
const GOLDEN = process.env.NIGHTJAR_GOLDEN ?? '';
const HOUSEHOLD = ['person', 'bicycle', 'car', 'motorcycle', 'bus', 'truck', 'bird', 'cat', 'dog'];

/** The labels that the reference interpreter gives these pictures with 0.6 and more. */
function goldenLabels() {
  const { images } = JSON.parse(readFileSync(join(GOLDEN, 'ssd_v1.json'), 'utf8'));
  const sure = Object.values(images).flat().filter((it) => it.score >= 0.6).map((it) => it.label);
  return [...new Set(sure)].filter((it) => HOUSEHOLD.includes(it)).sort();
}

const card = named('event-card');
const cards = (page) => page.$$eval(card, (all) => all.map((it) => ({ ...it.dataset })));
/** What objects the page shows. Not `motion` and `health`: what moves between two pictures, and how the box is. */
const labels = async (page) => {
  const objects = (await cards(page)).filter((it) => it.kind === 'object').map((it) => it.label);
  return [...new Set(objects)].sort();
};
/** All that Chromium may say while the server is away. */
const REFUSED = /^(Failed to load resource|WebSocket connection to 'ws:\/\/127\.0\.0\.1:\d+\/peerjs\?[^']*' failed: Error in connection establishment): net::ERR_CONNECTION_REFUSED$/;

/** The width of the whole picture that the edge keeps of an event. */
async function fullWidth(edge, id) {
  const answer = await fetch(`http://${edge.address()}/api/v1/events/${id}/picture`);
  const jpeg = Buffer.from(await answer.arrayBuffer());
  // Segment by segment: a picture within the picture, as in EXIF, has a width of its own.
  let at = 2;
  while (jpeg[at + 1] < 0xc0 || jpeg[at + 1] > 0xc2) at += 2 + jpeg.readUInt16BE(at + 2);
  return jpeg.readUInt16BE(at + 7);
}

/** Runs in the page: no thumbnail of the timeline is kept any more. */
async function emptyThumbnails() {
  const request = indexedDB.open('nightjar');
  const database = await new Promise((done) => (request.onsuccess = () => done(request.result)));
  const change = database.transaction('thumbnails', 'readwrite');
  change.objectStore('thumbnails').clear();
  await new Promise((done) => (change.oncomplete = done));
  database.close();
}

test('from a camera to a phone\'s timeline', { timeout: 240_000 }, async (t) => {
  for (const name of ['NIGHTJAR_MODELS', 'NIGHTJAR_PICTURES', 'NIGHTJAR_GOLDEN']) {
    assert.ok(process.env[name], `${name} must name a folder; tests/run does it`);
  }
  const data = scratch(t);
  const camera = `replay:${PICTURES}?fps=2`;
  const first = await startSignal(t);
  const origin = `http://127.0.0.1:${first.port()}/`;
  const args = ['--model', MODEL];
  const edge = await startEdge(t, { signal: first, data, camera, args });

  const page = await open(await launch(t), origin);
  try {
    await live({ t, page, first, edge, data, camera, args });
  } catch (error) {
    error.message += `\n${await confess(page, 'main-job')}\nthe edge said:\n${edge.said}`;
    throw error;
  }
});

/** A day with it, from the first visit on. */
async function live({ t, page, first, edge, data, camera, args }) {
  // Find it and pair.
  await page.waitForSelector(named('device'), { timeout: 20_000 });
  assert.match(await page.$eval(named('device'), (it) => it.textContent), /Front door/);
  await picture(page, '1-devices');
  await press(page, named('pair'));

  // See what the camera saw.
  await page.waitForSelector(card, { timeout: 30_000 });
  const want = goldenLabels();
  assert.ok(want.length >= 3, `golden labels: ${want}`);
  await eventually(`cards for ${want}`, async () => (await labels(page)).length >= want.length, 60_000);
  assert.deepEqual(await labels(page), want);
  await page.waitForFunction((it) => document.querySelector(`${it} img`)?.naturalWidth > 0, {}, card);
  await picture(page, '2-timeline');

  // Open one and star it. New cards push the others down while a finger comes: the one that
  // opened is the one that counts.
  await press(page, card);
  await page.waitForSelector(named('event-view'));
  await page.waitForFunction('location.hash.startsWith("#event/")');
  const shown = { id: page.url().split('/').pop() };
  await eventually('its end', async () => (await ask(edge, `/api/v1/events/${shown.id}`)).ended_ms !== null);
  const starred = `${card}[data-id="${shown.id}"]`;
  const width = await fullWidth(edge, shown.id); // from here on its picture does not change
  const large = (it, wide) => document.querySelector(`${it} img`)?.naturalWidth === wide;
  await page.waitForFunction(large, {}, named('event-view'), width);
  await press(page, `${named('event-view')} ${named('event-star')}`);
  await eventually('the star at the edge', async () => (await ask(edge, `/api/v1/events/${shown.id}`)).favourite);
  await picture(page, '3-event');
  await page.goBack();
  await page.waitForSelector(card);

  // Everything is gone: the edge, and the server too.
  assert.deepEqual(page.trouble, [], 'nothing went wrong so far');
  assert.equal(await edge.stop(), 0);
  await page.waitForFunction((it) => document.querySelector(it)?.dataset.state !== 'connected', { timeout: 30_000 }, named('connection'));
  await picture(page, '4-edge-away');
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => true));
  assert.equal(await first.stop(), 0);
  await page.evaluate(emptyThumbnails); // a favourite has pictures of its own
  await page.reload({ waitUntil: 'domcontentloaded' });
  await page.evaluate('window.mark = "the same page"');
  await page.waitForSelector(card, { timeout: 20_000 });
  await eventually('the labels, offline', async () => (await labels(page)).length >= want.length);
  assert.deepEqual(await labels(page), want, 'offline');
  await page.waitForSelector(named('offline-banner'), { visible: true });
  await picture(page, '5-offline');
  await press(page, named('filter-favourites'));
  await page.waitForFunction((it, id) => {
    const all = [...document.querySelectorAll(it)];
    return all.length === 1 && all[0].dataset.id === id && all[0].querySelector('img')?.naturalWidth > 0;
  }, { timeout: 20_000 }, card, shown.id);
  await picture(page, '6-offline-favourites');
  await press(page, starred);
  await page.waitForFunction(large, {}, named('event-view'), width);
  await page.goBack();
  await page.waitForSelector(named('event-view'), { hidden: true });
  await press(page, named('filter-all'));

  // It comes back, and what is new appears by itself.
  const newest = (await cards(page)).map((it) => it.id).sort().at(-1);
  const second = await startSignal(t, `127.0.0.1:${first.port()}`);
  const again = await startEdge(t, { signal: second, data, camera, args });
  await page.waitForFunction((it, than) => {
    return [...document.querySelectorAll(it)].some((each) => each.dataset.id > than);
  }, { timeout: 60_000 }, card, newest);
  assert.equal(await page.evaluate('window.mark'), 'the same page', 'without a reload');
  await page.waitForFunction((it) => document.querySelector(it)?.dataset.state === 'connected', {}, named('connection'));
  assert.deepEqual(await labels(page), want, 'the second time round');
  assert.deepEqual(page.trouble.filter((it) => !REFUSED.test(it)), [], 'nothing went wrong in the page itself');
  const refused = page.trouble.length;
  await picture(page, '7-back');
  assert.equal(page.trouble.length, refused, 'nor once the server was back');
  assert.equal(await again.stop(), 0);
  assert.equal(await second.stop(), 0);
}
