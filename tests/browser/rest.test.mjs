// A long answer in a real browser: broken off halfway, it goes on on the next link, and the box is told what has come.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { launch, open } from './chromium.mjs';
import { Program, atEnd, scratch, startSignal } from './program.mjs';

const LIMIT = { timeout: 120_000 };
const BYTES = 3_000_000;

/** Runs in the page: the same path on two links, the first of which is closed in the middle of the answer. */
async function twice(server, bytes) {
  const { Partials, connect, discover } = await import(`${server}link.js`);
  const heads = [];
  const credits = [];
  let came = 0;
  let stop = () => {};
  const create = RTCPeerConnection.prototype.createDataChannel;
  RTCPeerConnection.prototype.createDataChannel = function (...words) {
    const channel = create.apply(this, words);
    const send = channel.send.bind(channel);
    channel.send = (chunk) => {
      const kind = chunk[4];
      if (kind === 0) heads.push(JSON.parse(new TextDecoder().decode(chunk.subarray(5))));
      if (kind === 7) credits.push(new DataView(chunk.buffer).getUint32(0));
      send(chunk);
    };
    channel.addEventListener('message', () => {
      came += 1;
      if (came === 60) stop();
    });
    return channel;
  };
  const [{ id }] = await discover(server);
  const partials = new Partials();
  const path = `/api/v1/test/bytes?n=${bytes}`;
  const first = connect({ signal: server, id, partials });
  const pairing = await first.fetch('/api/v1/pair', { method: 'POST', body: '{"name":"Phone"}' });
  const { token } = await pairing.json();
  first.token = token;
  stop = () => first.close();
  const broken = await first.fetch(path).then(() => 'whole', (error) => error.reason);
  const credited = credits.at(-1);
  came = NaN;
  const second = connect({ signal: server, id, token, partials });
  const answer = await second.fetch(path);
  const body = new Uint8Array(await answer.arrayBuffer());
  const rest = await second.fetch(path, { headers: { range: 'bytes=2999990-' } });
  const range = rest.headers.get('content-range');
  const put = await second.fetch('/api/v1/device', { method: 'PUT', body: new Uint8Array(500_000) });
  second.close();
  return {
    broken, credited, range, put: put.status, status: answer.status, length: body.length,
    wrong: body.findIndex((byte, at) => byte !== at % 251), from: heads.map((head) => head.from ?? 0),
  };
}

test('an answer that broke off goes on where it did', LIMIT, async (t) => {
  const signal = await startSignal(t);
  const edge = await Program.start('nightjar-edge-faults', [
    '--data-dir', scratch(t), '--camera', 'demo:', '--signal', `http://127.0.0.1:${signal.port()}/`,
    '--http', '127.0.0.1:0',
  ]);
  atEnd(t, () => edge.kill());
  const server = `http://127.0.0.1:${signal.port()}/`;
  const page = await open(await launch(t), server);
  const seen = await page.evaluate(twice, server, BYTES);
  assert.equal(seen.broken, 'closed');
  assert.ok(seen.credited >= 1 << 18, `told of ${seen.credited} bytes`);
  const [paired, begun, resumed, own] = seen.from;
  assert.deepEqual([paired, begun, own], [0, 0, 2_999_990]);
  assert.ok(resumed > 500_000 && resumed < BYTES, `from ${resumed}`);
  assert.deepEqual([seen.status, seen.length, seen.wrong], [200, BYTES, -1]);
  assert.equal(seen.range, 'bytes 2999990-2999999/3000000');
  assert.equal(seen.put, 413, 'a body that is too long is refused, and no longer sent');
});
