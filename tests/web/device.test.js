// Pauses between attempts, and what a device's answers mean.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FIRST_PAUSE_MS, LONGEST_PAUSE_MS, WATCHED_PAUSE_MS, Refusal, pause, readAnswer } from '../../signal/web/js/device.js';

test('pauses double up to the longest, with jitter below', () => {
  assert.equal(pause(0, 1), FIRST_PAUSE_MS);
  assert.equal(pause(0, 0), FIRST_PAUSE_MS / 2);
  assert.equal(pause(2, 1), 4 * FIRST_PAUSE_MS);
  assert.equal(pause(40, 1), LONGEST_PAUSE_MS);
  assert.equal(pause(4000, 0), LONGEST_PAUSE_MS / 2);
  assert.equal(pause(0, 1, true), FIRST_PAUSE_MS);
  assert.equal(pause(40, 1, true), WATCHED_PAUSE_MS, 'who looks waits no longer');
});

test('answers read as JSON, or as the refusal they carry', async () => {
  assert.deepEqual(await readAnswer(Response.json({ a: 1 })), { a: 1 });
  assert.equal(await readAnswer(new Response(null, { status: 204 })), null);
  const closed = Response.json({ error: { code: 'pairing_closed', message: 'No.' } }, { status: 403 });
  await assert.rejects(readAnswer(closed), (error) => error instanceof Refusal && error.code === 'pairing_closed' && error.status === 403);
  await assert.rejects(readAnswer(new Response('<html>', { status: 502 })), (error) => error.code === 'unknown' && /502/.test(error.message));
});
