// The card in QEMU, from power on to a picture on a phone; its power cut; updates, good and bad; the watchdog.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { launch, named, open, press, picture } from '../browser/chromium.mjs';
import { eventually } from '../browser/program.mjs';
import { GUEST, card, network } from './machine.mjs';

const FULL = process.env.NIGHTJAR_FULL !== undefined;
const CUTS = FULL ? 10 : 2;
const event = named('event-card');

/** The phone's page at the card's own server, paired. */
async function phone(t) {
  const page = await open(await launch(t), `http://${GUEST}/`);
  await press(page, named('pair'));
  await page.waitForSelector(`${event} .loaded`, { timeout: 180_000 });
  return page;
}

/** The ids of the events that the page shows. */
const shown = (page) => page.$$eval(event, (cards) => cards.map((it) => it.dataset.id));

test('a card', { timeout: 600_000 }, async (t) => {
  network(t);
  const box = card(t, 'card', ['nightjar.console']);
  box.start();

  let page;
  await t.test('boots, sees by its camera, and a phone that pairs shows a picture', async () => {
    await box.answers();
    page = await phone(t);
    const drawn = await page.$eval(`${event} img`, (image) => image.naturalWidth);
    assert.ok(drawn > 0, 'a picture from the camera is drawn');
    await picture(page, 'card');
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
      await page.waitForSelector(`${event} .loaded`, { timeout: 180_000 });
      const after = await eventually('the events of before', async () => {
        const now = new Set(await shown(page));
        return before.every((id) => now.has(id)) && now;
      }, 60_000);
      assert.ok(after.size >= before.length);
    }
  });
});
