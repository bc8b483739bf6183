// Unmodified PeerJS clients of three generations find the edge by the room routes and read
// status, timeline and a thumbnail by PeerFetch framing.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { launch } from './chromium.mjs';
import { pageWith } from './peerjs.mjs';
import { ask, eventually, scratch, startEdge, startSignal } from './program.mjs';

/** Version, and whether its `reliable` channel keeps order. */
const CLIENTS = [['1.3.2', false], ['1.4.7', false], ['1.5.5', true]];

/** Runs in the page: everything the Ambianic UI would do on its first visit. */
async function visit({ host, port, token }) {
  const { register, othersInRoom, connect, json } = await import('/peerfetch.mjs');
  const { peer, id } = await register(window.Peer, { host, port, token });
  const { roomId, others } = await othersInRoom({ host, port, token, id });
  const link = await connect(peer, others[0]);
  const root = await link.request('GET', '?');
  const status = await link.request('GET', 'api/status?');
  const timeline = await link.request('GET', 'api/timeline?page=1');
  const { rel_dir: folder, thumbnail_file_name: file } = json(timeline).timeline[0].args;
  const [thumbnail, missing, ping] = await Promise.all([
    link.request('GET', `api/data/${folder}/${file}?`),
    link.request('GET', 'api/data/no/such.jpg?'),
    link.request('GET', 'ping?'),
  ]);
  const rename = await link.request('PUT', `api/device/display_name/${encodeURIComponent('Back door')}?`);
  const renamed = await link.request('GET', 'api/status?');
  return {
    roomId,
    ordered: link.ordered,
    root: [root.status, json(root)],
    status: [status.status, json(status)],
    timeline: [timeline.status, json(timeline)],
    thumbnail: [thumbnail.status, thumbnail.type, ...new Uint8Array(thumbnail.body).slice(0, 3)],
    missing: missing.status,
    ping: [ping.status, ping.body],
    rename: rename.status,
    renamed: json(renamed).display_name,
  };
}

for (const [version, ordered] of CLIENTS) {
  test(`unmodified PeerJS ${version} reads status, timeline and a thumbnail`, { timeout: 120_000 }, async (t) => {
    const signal = await startSignal(t);
    const edge = await startEdge(t, { signal, data: scratch(t), args: ['--legacy-clients', 'on'] });
    await eventually('an event', async () => (await ask(edge, '/api/v1/status')).store.events > 0, 60_000);
    const page = await pageWith(t, version);
    const token = `t${Math.random().toString(36).slice(2, 12)}`;
    const seen = await page.evaluate(visit, { host: '127.0.0.1', port: signal.port(), token });

    assert.match(seen.roomId, /^[0-9a-f]{40}$/);
    assert.equal(seen.ordered, ordered, 'the channel is what this version is known to open');
    assert.equal(seen.root[0], 200);
    assert.match(seen.root[1], /Ambianic/);
    assert.equal(seen.status[0], 200);
    assert.equal(seen.status[1].status, 'OK');
    assert.ok(seen.status[1].version, 'the UI demands a version');
    assert.equal(seen.status[1].display_name, 'Front door');
    assert.equal(seen.timeline[0], 200);
    assert.equal(seen.timeline[1].status, 'success');
    const [event] = seen.timeline[1].timeline;
    assert.ok(Array.isArray(event.args.inference_result), 'the UI reads its length');
    assert.ok(event.args.inference_meta.display);
    assert.deepEqual(seen.thumbnail, [200, 'image/jpeg', 0xff, 0xd8, 0xff]);
    assert.equal(seen.missing, 404);
    assert.deepEqual(seen.ping, [200, 'pong']);
    assert.equal(seen.rename, 204);
    assert.equal(seen.renamed, 'Back door');
    assert.deepEqual(page.trouble, []);
    assert.equal(await edge.stop(), 0);
    assert.equal(await signal.stop(), 0);
  });
}

/** Runs in a page: registers, joins its room, and answers whoever calls; tells its id. */
async function wait({ host, port, token }) {
  const { register } = await import('/peerfetch.mjs');
  const { peer, id } = await register(window.Peer, { host, port, token });
  window.heard = [];
  peer.on('connection', (connection) => {
    connection.on('open', () => connection.send('welcome'));
    connection.on('data', (data) => {
      window.heard.push(data);
      connection.send(typeof data === 'string' ? `${data}, too` : { ...data, too: true });
    });
  });
  const base = `http://${host}:${port}/peerjs/${id}/${token}/room`;
  const { roomId } = await (await fetch(`${base}/id`)).json();
  await fetch(`${base}/${roomId}/join`, { method: 'POST' });
  return id;
}

/** Runs in a page: finds whoever else is in its room, calls, says all of `words` and resolves to what it heard. */
async function call({ host, port, token, words, options }) {
  const { register, othersInRoom } = await import('/peerfetch.mjs');
  const { peer, id } = await register(window.Peer, { host, port, token });
  const { roomId, others } = await othersInRoom({ host, port, token, id });
  const base = `http://${host}:${port}/peerjs/${id}/${token}/room/${roomId}`;
  const devices = await (await fetch(`${base}/devices`)).json();
  const connection = peer.connect(others[0], options);
  const heard = [];
  await new Promise((done, fail) => {
    peer.on('error', (error) => fail(new Error(error.type)));
    connection.on('open', () => words.forEach((word) => connection.send(word)));
    connection.on('data', (data) => {
      heard.push(data);
      if (heard.length === words.length + 1) done();
    });
  });
  return { id, others, devices, heard };
}

/** In any order: the channels of older versions keep none. */
const sorted = (words) => words.map((it) => JSON.stringify(it)).sort();

const WORDS = Array.from({ length: 40 }, (_, n) => `word ${n} ${'\u{1f989}'.repeat(n * 20)}`);
// Versions differ in how they pack what is no text, but each understands itself.
const THINGS = Array.from({ length: 40 }, (_, n) => ({ n, text: 'x'.repeat(n * 500), list: [n, null, true] }));
const PAIRS = [
  ['1.3.2', '1.3.2', THINGS, {}],
  ['1.4.7', '1.4.7', THINGS, {}],
  ['1.5.5', '1.5.5', THINGS, {}],
  ['1.3.2', '1.5.5', WORDS, { serialization: 'raw' }],
  ['1.5.5', '1.4.7', WORDS, { serialization: 'raw' }],
  ['1.4.7', '1.3.2', WORDS, { serialization: 'raw', reliable: true }],
];

// S24: unmodified, two pages find each other in their room, pair and exchange data both ways.
for (const [caller, callee, words, options] of PAIRS) {
  test(`PeerJS ${caller} finds and calls PeerJS ${callee} through our server`, { timeout: 90_000 }, async (t) => {
    const signal = await startSignal(t);
    const at = { host: '127.0.0.1', port: signal.port() };
    const browser = await launch(t);
    const there = await pageWith(t, callee, browser);
    const other = await there.evaluate(wait, { ...at, token: 'callee' });
    assert.match(other, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, 'the server gives a UUID');
    const here = await pageWith(t, caller, browser);
    const seen = await here.evaluate(call, { ...at, token: 'caller', words, options });
    assert.deepEqual(seen.others, [other], 'the room lists who is there, in the order they came');
    assert.deepEqual(seen.devices, [], 'a browser is no device to pair with');
    const replies = words.map((it) => (typeof it === 'string' ? `${it}, too` : { ...it, too: true }));
    assert.deepEqual(sorted(seen.heard), sorted(['welcome', ...replies]));
    assert.deepEqual(sorted(await there.evaluate('window.heard')), sorted(words));
    await here.close();
    const members = `http://127.0.0.1:${at.port}/peerjs/${other}/callee/room`;
    const { roomId } = await (await fetch(`${members}/id`)).json();
    await eventually('a closed page leaves its room', async () => {
      const left = await (await fetch(`${members}/${roomId}/members`)).json();
      return left.length === 1 && left[0] === other;
    }, 3_500);
    assert.deepEqual([...here.trouble, ...there.trouble], []);
    assert.equal(await signal.stop(), 0);
  });
}
