// A day with the page: pictures handed on, stars taken back, an event read again, a box forgotten.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { launch, named, open, press } from './chromium.mjs';
import { ask, eventually, scratch, startEdge, startSignal } from './program.mjs';

const card = named('event-card');
const view = named('event-view');
const star = `${view} ${named('event-star')}`;
/** What the browser itself says of a box or server that is away. */
const AWAY = /net::ERR_CONNECTION_REFUSED/;

/** An edge with the demo scene, and a phone paired with it that sees an event with its picture. */
async function house(t) {
  const signal = await startSignal(t);
  const data = scratch(t);
  const edge = await startEdge(t, { signal, data });
  const page = await open(await launch(t), `http://127.0.0.1:${signal.port()}/`);
  await press(page, named('pair'));
  await page.waitForSelector(`${card} .loaded`, { timeout: 60_000 });
  return { signal, data, edge, page };
}

const connection = (page, state, timeout = 40_000) =>
  page.waitForFunction((it, wanted) => document.querySelector(it)?.dataset.state === wanted, { timeout }, named('connection'), state);
const pressed = (page, selector, wanted) =>
  page.waitForFunction((it, on) => document.querySelector(it)?.getAttribute('aria-pressed') === on, {}, selector, String(wanted));
const favourite = (edge, id) => ask(edge, `/api/v1/events/${id}`).then((event) => event.favourite);

/** The id of an event with a picture that is over. */
function someEvent(edge) {
  return eventually('an event that is over', async () => {
    const { events } = await ask(edge, '/api/v1/events');
    return events.find((it) => it.kind !== 'health' && it.ended_ms !== null)?.id;
  }, 90_000);
}

/** Opens an event and waits for its large picture. */
async function openEvent(page, id) {
  await press(page, `${card}[data-id="${id}"] a`);
  await page.waitForSelector(`${view}[data-id="${id}"]`);
  await page.waitForSelector(`${view} ${named('event-share')}:not(:disabled)`);
}

/** Every record that the browser keeps for the page, by store. */
const kept = (page) =>
  page.evaluate(async () => {
    const request = indexedDB.open('nightjar');
    const database = await new Promise((done) => (request.onsuccess = () => done(request.result)));
    const all = {};
    for (const name of database.objectStoreNames) {
      const keys = database.transaction(name).objectStore(name).getAllKeys();
      all[name] = await new Promise((done) => (keys.onsuccess = () => done(keys.result)));
    }
    database.close();
    return all;
  });

test('a picture is saved, or shared where the browser can', { timeout: 180_000 }, async (t) => {
  const { edge, page } = await house(t);
  const id = await someEvent(edge);
  const answer = await fetch(`http://${edge.address()}/api/v1/events/${id}/picture`);
  const picture = Buffer.from(await answer.arrayBuffer());

  const downloadPath = scratch(t);
  const chromium = await page.createCDPSession();
  await chromium.send('Browser.setDownloadBehavior', { behavior: 'allow', downloadPath });
  await openEvent(page, id);
  await press(page, `${view} ${named('event-share')}`);
  const saved = () => readdirSync(downloadPath).find((name) => /^nightjar-.*\.jpg$/.test(name));
  const name = await eventually('the picture to be saved', saved);
  assert.ok(readFileSync(join(downloadPath, name)).equals(picture), 'it is the picture of the box');

  await page.evaluateOnNewDocument(() => {
    navigator.canShare = () => true;
    navigator.share = async ({ files: [file] }) => (window.shared = { name: file.name, size: file.size });
  });
  await page.reload();
  await page.waitForSelector(`${view}[data-id="${id}"]`);
  const large = (it) => document.querySelector(`${it} img`)?.naturalWidth > 320;
  await page.waitForFunction(large, {}, view); // the small one first, the large one once the box is there
  await page.waitForSelector(`${view} ${named('event-share')}:not(:disabled)`);
  await press(page, `${view} ${named('event-share')}`);
  const shared = await (await page.waitForFunction('window.shared')).jsonValue();
  assert.deepEqual(shared, { name, size: picture.length });

  await page.evaluate(() => (navigator.share = () => Promise.reject(new Error('no app takes it'))));
  await press(page, `${view} ${named('event-share')}`);
  await page.waitForFunction((it) => document.querySelector(it)?.textContent.includes('no app takes it'), {}, named('notice'));
  assert.deepEqual(page.trouble, []);
});

test('a star is taken and put back inside the event', { timeout: 180_000 }, async (t) => {
  const { edge, page } = await house(t);
  const id = await someEvent(edge);
  await openEvent(page, id);
  await press(page, star);
  await pressed(page, star, true);
  await eventually('the star at the box', () => favourite(edge, id));

  await press(page, star);
  await pressed(page, star, false);
  await eventually('no star at the box', async () => !(await favourite(edge, id)));
  await press(page, named('undo')); // reachable: it lies in the open dialog
  await pressed(page, star, true);
  await eventually('the star at the box again', () => favourite(edge, id));
  assert.deepEqual((await kept(page)).favourites.map(([, star]) => star), [id]);
  assert.deepEqual(page.trouble, []);
});

test('a star taken while the box is away stays taken', { timeout: 180_000 }, async (t) => {
  const { signal, data, edge, page } = await house(t);
  const id = await someEvent(edge);
  const itsStar = `${card}[data-id="${id}"] ${named('star')}`;
  await press(page, itsStar);
  await pressed(page, itsStar, true);
  await eventually('the star at the box', () => favourite(edge, id));

  assert.equal(await edge.stop(), 0);
  await connection(page, 'away');
  await press(page, itsStar);
  await pressed(page, itsStar, false);
  await page.evaluate('window.stars = []');
  await page.evaluate((it) => {
    const button = document.querySelector(it);
    new MutationObserver(() => window.stars.push(button.getAttribute('aria-pressed'))).observe(button, { attributeFilter: ['aria-pressed'] });
  }, itsStar);
  const again = await startEdge(t, { signal, data });
  await connection(page, 'connected');
  await eventually('no star at the box', async () => !(await favourite(again, id)));
  await eventually('the wish to be done with', async () => (await kept(page)).wishes.length === 0);
  await eventually('the newest page to be read', async () => {
    const { events } = await ask(again, '/api/v1/events?limit=1');
    return page.$(`${card}[data-id="${events[0].id}"]`);
  });
  const { favourites } = await kept(page);
  assert.deepEqual(favourites, []);
  assert.ok(!(await page.evaluate('window.stars')).includes('true'), 'it never came back');
  assert.equal(await page.$eval(itsStar, (it) => it.getAttribute('aria-pressed')), 'false');
  assert.deepEqual(page.trouble, []);
});

test('an event is there again after a reload, and the way back is the timeline', { timeout: 180_000 }, async (t) => {
  const { edge, page } = await house(t);
  const id = await someEvent(edge);
  await openEvent(page, id);
  await page.evaluate('dispatchEvent(new Event("pagehide"))'); // saves what is known
  await eventually('the event to be saved', async () => (await kept(page)).events.some(([, event]) => event === id));
  await page.reload();
  await page.waitForSelector(`${view}[data-id="${id}"]`, { visible: true });
  await press(page, named('event-close'));
  await page.waitForFunction((it) => location.hash === '#timeline' && !document.querySelector(it).open, {}, view);
  await page.evaluate("location.hash = '#%'");
  await page.waitForSelector(card, { visible: true });

  // Focus on Home outlives the status that is read again and again.
  await press(page, named('tab-home'));
  await connection(page, 'connected');
  await page.waitForSelector(named('forget'), { visible: true });
  await page.focus(named('forget'));
  await page.evaluate(() => {
    const facts = document.querySelector('section[aria-label="The box"] dl');
    window.told = 0;
    new MutationObserver(() => (window.told += 1)).observe(facts, { childList: true });
  });
  await page.waitForFunction('window.told > 0', { timeout: 30_000 });
  assert.equal(await page.evaluate(() => document.activeElement.dataset.testid), 'forget');
  assert.deepEqual(page.trouble, []);
});

test('a forgotten box leaves nothing on the phone', { timeout: 180_000 }, async (t) => {
  const { page } = await house(t);
  await eventually('the timeline to be saved', async () => (await kept(page)).events.length > 0);
  await press(page, named('tab-home'));
  await press(page, named('forget'));
  await press(page, named('ask-yes'));
  await page.waitForFunction("location.hash === '#add'");
  await page.reload(); // what was to be saved later is saved by now
  await page.waitForSelector(named('device'));
  for (const [name, keys] of Object.entries(await kept(page))) assert.deepEqual(keys, [], name);
  assert.deepEqual(page.trouble.filter((it) => !AWAY.test(it)), []);
});
