// The card in QEMU, from power on to a picture on a phone; its power cut; updates, good and bad; the watchdog.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { confess, launch, named, open, picture, press } from '../browser/chromium.mjs';
import { eventually, scratch } from '../browser/program.mjs';
import { BUILT, GUEST, card, digest, network, updater } from './machine.mjs';

const FULL = process.env.NIGHTJAR_FULL !== undefined;
const CUTS = FULL ? 10 : 2;
const event = named('event-card');

/** The phone's page at the card's own server, paired, with an event and its picture. */
async function phone(t) {
  const page = await open(await launch(t), `http://${GUEST}/`);
  // A machine that emulates another is slow: who is told to try again does so.
  await eventually('the phone to be paired', async () => {
    await press(page, named('pair'));
    const paired = page.waitForSelector(named('tab-home'), { visible: true, timeout: 30_000 });
    return paired.then(() => true, () => false);
  }, 180_000);
  await seen(page);
  return page;
}

/** Waits for an event that shows its picture. */
async function seen(page) {
  await page.waitForSelector(`${event} .loaded`, { timeout: 240_000 }).catch(async (error) => {
    throw new Error(await confess(page, 'card'), { cause: error });
  });
}

/** The ids of the events that the page shows. */
const shown = (page) => page.$$eval(event, (cards) => cards.map((it) => it.dataset.id));

/** Waits for what the device's page says of an update; longer than one call of the browser's may last. */
const words = (page, like, ms) =>
  eventually(`the page to say ${like}`, async () => {
    const said = await page.$eval(named('update-words'), (it) => it.textContent).catch(() => '');
    return new RegExp(like).test(said);
  }, ms);

/** Hands the box an update, as its owner does. */
async function update(page, name) {
  await press(page, named('tab-home'));
  await page.waitForSelector(named('update'), { visible: true });
  await (await page.$(named('update-file'))).uploadFile(`${BUILT}/${name}.nightjar`);
}

test('a card', { timeout: 1_500_000 }, async (t) => {
  network(t);
  const box = card(t, 'card');
  const slot = digest(box.image);
  box.start();
  t.diagnostic(`its page answered after ${await box.answers()} ms`);
  const page = await phone(t);

  await t.test('boots, sees by its camera, and a phone that pairs shows a picture', async () => {
    const drawn = await page.$eval(`${event} img`, (image) => image.naturalWidth);
    assert.ok(drawn > 0, 'a picture from the camera is drawn');
    await picture(page, 'image-1-event');
  });

  await t.test('loses nothing that was shown when its power is cut', async () => {
    for (let cut = 0; cut < CUTS; cut++) {
      const before = await shown(page);
      assert.ok(before.length > 0);
      await new Promise((done) => setTimeout(done, Math.random() * 3_000)); // a moment nobody chose
      await box.cut();
      box.start();
      await box.answers();
      await page.reload();
      await seen(page);
      await eventually('the events of before', async () => {
        const now = new Set(await shown(page));
        return before.every((id) => now.has(id));
      }, 60_000);
    }
  });

  await t.test('has written nothing to what it boots from', () => assert.equal(digest(box.image), slot));

  await t.test('takes an update and keeps it, as it is well', async () => {
    await update(page, 'update');
    await words(page, '0\\.2\\.0', 600_000);
    await box.says('firmware: partition 3, on trial');
    await words(page, '^Version 0\\.2\\.0 runs now', 400_000);
    await picture(page, 'image-2-updated');
    await box.cut();
    box.start();
    await box.says('firmware: partition 3\n');
    await box.answers();
  });
});

/** Lets another phone or computer pair, as the owner does. */
async function letIn(page) {
  await press(page, named('tab-home'));
  await press(page, named('add-phone'));
  await page.waitForSelector(named('pairing-open'), { visible: true });
}

test('a card goes back from an update that is never well', { timeout: 1_800_000, skip: !FULL }, async (t) => {
  network(t);
  const box = card(t, 'unwell');
  box.start();
  await box.answers();
  const page = await phone(t);
  const nightjar = updater(scratch(t));
  await letIn(page);
  const good = await nightjar('update');
  assert.deepEqual([good.code, /Version 0\.2\.0 runs now, and stays/.test(good.said)], [0, true], good.said);
  const older = await nightjar('card');
  assert.deepEqual([older.code, /the box says no/.test(older.said)], [1, true], older.said);
  const bad = await nightjar('unwell');
  assert.deepEqual([bad.code, /version 0\.2\.0 runs/.test(bad.said)], [1, true], bad.said);
  assert.ok(box.said.includes('firmware: partition 2, on trial'));
  await words(page, '^The last update failed: .*the old one runs', 300_000);
});

test('a card whose eye stands still is reset by its watchdog', { timeout: 600_000, skip: !FULL }, async (t) => {
  network(t);
  const box = card(t, 'stopped', ['nightjar.stop']);
  box.start();
  await box.says('firmware: reset by the watchdog', 1, 400_000);
});
