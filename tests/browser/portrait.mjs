// Takes the README's picture: the timeline of the demo scene, at the size of a phone. With
// NIGHTJAR_MODELS it tells who came, without it that something moved.
//   tests/namespace node tests/browser/portrait.mjs [FILE]      default signal/timeline.png

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch, named, open, press } from './chromium.mjs';
import { eventually, scratch, startEdge, startSignal } from './program.mjs';

const CARDS = 4;
const file = process.argv[2] ?? fileURLToPath(new URL('../../signal/timeline.png', import.meta.url));
const models = process.env.NIGHTJAR_MODELS;
const args = models ? ['--model', join(models, 'ssd_mobilenet_v1_coco_quant.tflite')] : [];
const ends = [];
const t = { after: (end) => ends.unshift(end) };

try {
  const signal = await startSignal(t);
  await startEdge(t, { signal, data: scratch(t), args });
  const page = await open(await launch(t), `http://127.0.0.1:${signal.port()}/`);
  await page.waitForSelector(named('device'), { timeout: 20_000 });
  await press(page, named('pair'));
  const card = `${named('event-card')} .loaded`;
  await eventually('cards with pictures', async () => (await page.$$(card)).length >= CARDS, 180_000);
  await page.waitForSelector(named('notice'), { hidden: true });
  const shown = (it) => [...document.querySelectorAll(it)].every((each) => getComputedStyle(each.querySelector('.inner')).opacity === '1');
  await page.waitForFunction(shown, {}, card);
  await page.screenshot({ path: file });
  console.log(file);
} finally {
  for (const end of ends) await end();
}
