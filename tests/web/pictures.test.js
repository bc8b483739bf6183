// Which thumbnail is asked for when: what somebody looks at first, nothing twice, not too many at once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ASKED_AT_ONCE, Pictures, SAVED_AT_ONCE } from '../../signal/web/js/pictures.js';

const event = (id, score = 0.5) => ({ id: String(id), kind: 'object', score, box: [0, 0, 1, 1] });
const many = (count, from = 0) => Array.from({ length: count }, (_, at) => event(from + at));

/** A device that answers when told to, and a store that has saved some. */
function world(saved = []) {
  const kept = new Map(saved.map((record) => [record.id, record]));
  const store = {
    thumbnail: async (_, id) => kept.get(id),
    thumbnailIds: async () => new Set(kept.keys()),
    saveThumbnail: async (record) => void kept.set(record.id, record),
  };
  const asked = [];
  const device = { id: 'box', connected: true };
  device.fetch = (path) =>
    new Promise((done) => asked.push({ id: path.split('/')[4], answer: (body = path) => done(new Response(body)) }));
  return { pictures: new Pictures(store), device, kept, asked };
}

const turn = () => new Promise((done) => setImmediate(done));

test('a page of thumbnails is asked for at once, and no more than so many', async () => {
  const { pictures, device, asked } = world();
  for (const one of many(40)) pictures.thumbnail(device, one);
  await turn();
  assert.equal(asked.length, ASKED_AT_ONCE);
  asked[0].answer();
  await turn();
  await turn();
  assert.equal(asked.length, ASKED_AT_ONCE + 1);
  assert.equal(asked.at(-1).id, '39', 'the one that came into sight last');
});

test('what nobody looks at yet goes few at a time, in order, and never before what somebody does', async () => {
  const { pictures, device, asked, kept } = world([{ id: '1', edition: 'x', blob: new Blob() }]);
  const saving = pictures.save(device, many(9), await pictures.saved(device));
  await turn();
  assert.deepEqual(asked.map(({ id }) => id), ['0', '2', '3', '4']);
  assert.equal(asked.length, SAVED_AT_ONCE);
  for (const one of many(ASKED_AT_ONCE, 100)) pictures.thumbnail(device, one);
  await turn();
  asked[0].answer();
  await turn();
  await turn();
  assert.deepEqual(asked.slice(SAVED_AT_ONCE).map(({ id }) => Number(id) >= 100), Array(ASKED_AT_ONCE - SAVED_AT_ONCE + 1).fill(true));
  for (let at = 1; at < 32; at += 1) {
    asked[at].answer();
    await turn();
    await turn();
  }
  await saving;
  assert.equal(kept.size, 9 + ASKED_AT_ONCE);
});

test('what is asked for already is not asked again, but for another edition of it', async () => {
  const { pictures, device, asked } = world();
  const saving = pictures.save(device, many(3), new Set(), 1);
  await turn();
  const [first, second] = [pictures.thumbnail(device, event(0)), pictures.thumbnail(device, event(0))];
  const better = pictures.thumbnail(device, event(0, 0.9));
  await turn();
  assert.deepEqual(asked.map(({ id }) => id), ['0', '0']);
  asked[0].answer('a');
  asked[1].answer('b');
  assert.equal(await (await first).blob.text(), 'a');
  assert.equal(await second, await first);
  assert.equal(await (await better).blob.text(), 'b');
  for (const at of [2, 3]) {
    while (!asked[at]) await turn();
    asked[at].answer();
  }
  await saving;
});

test('a thumbnail is shown before it is saved, and without a device the saved one is', async () => {
  const { pictures, device, asked } = world([{ id: '7', edition: 'old', blob: new Blob(['old']) }]);
  const shown = pictures.thumbnail(device, event(1));
  await turn();
  asked[0].answer('new');
  assert.equal(await (await shown).blob.text(), 'new');
  device.connected = false;
  assert.equal(await (await pictures.thumbnail(device, event(7))).blob.text(), 'old');
});
