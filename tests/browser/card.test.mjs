// The box below the camera program, from a paired phone: an update that survives its restart, Wi-Fi, restart and reset.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Box } from './box.mjs';
import { confess, launch, named, open, picture, press } from './chromium.mjs';
import { eventually, scratch, startEdge, startSignal } from './program.mjs';

const BUNDLE_BYTES = 64 << 20;
/** What the edge's resident memory may grow by while a bundle passes through it. */
const GROWN_KIB = 8 * 1024;
const SECRET = 'correct horse ~ "battery"';

const words = (page, pattern, timeout = 60_000) =>
  page.waitForFunction((it, like) => new RegExp(like).test(document.querySelector(it)?.textContent), { timeout }, named('update-words'), pattern);
const connection = (page, state) =>
  page.waitForFunction((it, wanted) => document.querySelector(it)?.dataset.state === wanted, { timeout: 60_000 }, named('connection'), state);
const choose = async (page, file) => (await page.$(named('update-file'))).uploadFile(file);
/** Presses what may lie below the bar of places. */
const tap = async (page, selector) => {
  await page.$eval(selector, (it) => it.scrollIntoView({ block: 'center' }));
  await press(page, selector);
};
const resident = ({ pid }) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);

/** A paired phone that looks at Home, an edge, and the box below it. */
async function house(t, below) {
  const [signal, data] = [await startSignal(t), scratch(t)];
  const path = join(data, 'box.sock');
  const box = below ? await Box.listen(t, path) : null;
  const edge = { signal, data, args: below ? ['--box', path] : [] };
  const first = await startEdge(t, edge);
  const page = await open(await launch(t), `http://127.0.0.1:${signal.port()}/`);
  await press(page, named('pair'));
  await page.waitForSelector(named('event-card'), { timeout: 60_000 });
  await press(page, named('tab-home'));
  return { box, edge: first, again: () => startEdge(t, edge), page, data };
}

/** The most resident memory while `work` goes on, in KiB. */
async function most(edge, work) {
  let [kib, over] = [0, false];
  work.finally(() => (over = true)).catch(() => {});
  while (!over) {
    kib = Math.max(kib, resident(edge));
    await new Promise((done) => setTimeout(done, 20));
  }
  await work;
  return kib;
}

/** The same of what may take longer than one call of the browser's; a busy machine sends slowly. */
const wordsLater = (page, pattern) =>
  eventually(`the page to say ${pattern}`, async () => new RegExp(pattern).test(await page.$eval(named('update-words'), (it) => it.textContent)), 480_000);

test('a phone updates the box', { timeout: 600_000 }, async (t) => {
  const { box, edge, again, page, data } = await house(t, true);
  const file = join(data, 'bundle');
  const bundle = randomBytes(BUNDLE_BYTES);
  writeFileSync(file, bundle);
  try {
    await update({ t, box, edge, again, page, file, bundle });
    assert.deepEqual(page.trouble, []);
  } catch (error) {
    error.message += `\n${await confess(page, 'card')}\nthe edge said:\n${edge.said}`;
    throw error;
  }
});

async function update({ t, box, edge, again, page, file, bundle }) {
  await page.waitForSelector(named('update'), { visible: true });
  await picture(page, 'card-1-device');

  // Given up halfway: the box hears of it at once and is as before.
  await choose(page, file);
  await eventually('some of it to come', () => box.bundle?.bytes > 1 << 20);
  await tap(page, named('update-cancel'));
  await words(page, '^Cancelled');
  await eventually('the box to drop it', () => box.state.update.state === 'failed');
  const looks = box.looks;
  await eventually('the page to look twice', () => box.looks > looks + 1);
  await words(page, '^Cancelled');
  assert.ok(!box.bundle.whole && box.bundle.bytes < BUNDLE_BYTES);

  // Refused with the box's own words.
  box.judge = () => ({ error: { code: 'older', message: 'this version is older' } });
  const small = `${file}-small`;
  writeFileSync(small, bundle.subarray(0, 100_000));
  await choose(page, small);
  await words(page, 'not taken: this version is older$');
  assert.equal(box.bundle.bytes, 100_000);

  // Whole, through little memory, while everything else goes on.
  let checked;
  box.judge = () => new Promise((done) => (checked = () => done({ ok: { version: '0.2.0' } })));
  const before = resident(edge);
  const since = performance.now();
  await choose(page, file);
  const sent = wordsLater(page, '^Checking');
  await words(page, '^Sending');
  await page.waitForFunction((it) => parseInt(document.querySelector(it).textContent) > 5, {}, named('update-percent'));
  await picture(page, 'card-2-sending');
  const peak = await most(edge, sent);
  const seconds = (performance.now() - since) / 1000;
  t.diagnostic(`64 MiB in ${seconds.toFixed(1)} s; resident ${before} KiB before, at most ${peak} KiB`);
  assert.ok(peak - before < GROWN_KIB, `the edge grew by ${peak - before} KiB`);
  await eventually('all of it at the box', () => box.bundle.whole);
  checked();
  await words(page, '^Restarting into version 0.2.0');
  assert.equal(box.bundle.sha256, createHash('sha256').update(bundle).digest('hex'));

  // The restart, the trial, and what comes of it.
  await page.evaluate('window.mark = "the same page"');
  assert.equal(await edge.stop(), 0);
  await connection(page, 'away');
  await words(page, '^Restarting');
  box.update('trial', { version: '0.2.0' });
  Object.assign(box.state, { version: '0.2.0', slot: 'b', trial: true });
  const second = await again();
  await words(page, 'on trial');
  box.update('committed', { version: '0.2.0' });
  await words(page, '^Version 0.2.0 runs now');
  assert.equal(await page.evaluate('window.mark'), 'the same page');
  await picture(page, 'card-3-committed');

  // The link is lost halfway.
  await choose(page, file);
  await eventually('some of it to come', () => box.bundle.bytes > 1 << 20 && !box.bundle.whole);
  second.kill();
  await eventually('the box to drop it', () => box.state.update.state === 'failed');
  await words(page, 'not taken');
  const third = await again();
  await connection(page, 'connected');

  // The link is lost behind its last byte, and the box did not take it.
  box.judge = () => {
    third.kill();
    return { error: { code: 'damaged', message: 'unheard' } };
  };
  box.update('none');
  await page.reload();
  await connection(page, 'connected');
  await choose(page, small);
  await words(page, '^All of it was sent');
  await again();
  await words(page, '^The link was lost, and the update was not taken');
  box.update('failed', { version: '0.3.0', why: 'no frames came' });
  await page.reload(); // what a page knows is what the box says
  await words(page, '^The last update failed: no frames came.$');
}

test('a phone sets the Wi-Fi, restarts the box and resets it', { timeout: 180_000 }, async (t) => {
  const { box, edge, page } = await house(t, true);
  const asked = () => box.asked.at(-1);
  await tap(page, `${named('wifi')} summary`);
  await page.locator('#wifi-ssid').fill('Café 5 GHz');
  await page.locator('#wifi-passphrase').fill(SECRET);
  await page.locator('#wifi-country').fill('de');
  await tap(page, named('wifi-save'));
  const wifi = await eventually('the Wi-Fi at the box', asked);
  assert.deepEqual(wifi, { do: 'wifi', ssid: 'Café 5 GHz', passphrase: SECRET, country: 'DE' });
  await page.waitForFunction((it) => document.querySelector(it).textContent.includes('Café 5 GHz, searching'), {}, named('system'));
  assert.equal(await page.$eval('#wifi-passphrase', (it) => it.value), '');

  await tap(page, named('restart'));
  await press(page, named('ask-yes'));
  await eventually('the restart', () => asked().do === 'restart');

  await tap(page, named('reset'));
  await page.waitForSelector(`${named('ask-yes')}:disabled`);
  await page.locator(named('ask-typed')).fill('front door');
  await page.waitForSelector(`${named('ask-yes')}:disabled`);
  await picture(page, 'card-4-reset');
  await page.locator(named('ask-typed')).fill('Front door');
  await press(page, `${named('ask-yes')}:not(:disabled)`);
  await eventually('the reset', () => asked().do === 'reset');
  assert.ok(!edge.said.includes('horse'), 'a passphrase is in no log');
  assert.deepEqual(page.trouble, []);
});

test('without a box below there is nothing to set', { timeout: 120_000 }, async (t) => {
  const { page } = await house(t, false);
  await page.waitForSelector(named('phone')); // asked for at the same time
  await page.waitForSelector(named('system'), { hidden: true });
  assert.deepEqual(page.trouble, []);
});
