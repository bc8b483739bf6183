// A page of another site, a stranger in the room, a rebinding name: none reads an event.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { launch, open } from './chromium.mjs';
import { ask, eventually, scratch, startEdge, startSignal } from './program.mjs';
import { serve } from './static.mjs';

const LIMIT = { timeout: 120_000 };

/** A server and an edge that has an event to hide. */
async function home(t) {
  const signal = await startSignal(t);
  const edge = await startEdge(t, { signal, data: scratch(t) });
  await eventually('an event', async () => (await ask(edge, '/api/v1/status')).store.events > 0, 60_000);
  const { events } = await ask(edge, '/api/v1/events');
  return { signal, edge, event: events[0] };
}

/** An empty page of another site. */
async function elsewhere(t, browser, files = {}) {
  const blank = { type: 'text/html', body: '<!doctype html><title>Elsewhere</title>' };
  const icon = { type: 'image/x-icon', body: '' };
  return open(browser, `${await serve(t, { '/': blank, '/favicon.ico': icon, ...files })}/`);
}

test('a page of another site cannot read the loopback REST', LIMIT, async (t) => {
  const { edge, event } = await home(t);
  const page = await elsewhere(t, await launch(t));
  const base = `http://${edge.address()}/api/v1`;
  const read = (url, init) => page.evaluate(async (at, how) => {
    try {
      return await (await fetch(at, how)).text();
    } catch {
      return 'refused';
    }
  }, url, init);
  assert.equal(await read(`${base}/events`), 'refused');
  assert.equal(await read(`${base}/events`, { mode: 'no-cors' }), 'refused', 'not even opaque');
  const image = (at) => page.evaluate((src) => new Promise((done) => {
    const it = new Image();
    it.onload = () => done('shown');
    it.onerror = () => done('refused');
    it.src = src;
  }), at);
  for (const path of [`/events/${event.id}/thumbnail`, `/events/${event.id}/picture`, '/cameras/camera/snapshot']) {
    assert.equal(await image(`${base}${path}`), 'refused', path);
  }
  for (const [method, path] of [['DELETE', `/events/${event.id}`], ['PUT', '/device'], ['POST', '/pairing']]) {
    assert.equal(await read(`${base}${path}`, { method, body: '{"name":"mine"}' }), 'refused');
  }
  await read(`${base}/pairing`, { method: 'POST', mode: 'no-cors' });
  await read(`${base}/pair`, { method: 'POST', mode: 'no-cors', body: '{"name":"mine"}' });
  const status = await ask(edge, '/api/v1/status');
  assert.equal(status.name, 'Front door', 'nothing was changed');
  assert.equal((await ask(edge, `/api/v1/events/${event.id}`)).id, event.id, 'nothing was deleted');
  assert.deepEqual(clientsOf(await ask(edge, '/api/v1/clients')), [], 'nobody was paired');
});

test('a rebinding name is answered with no event', LIMIT, async (t) => {
  const { edge, event } = await home(t);
  const browser = await launch(t, ['--host-resolver-rules=MAP rebound.example 127.0.0.1']);
  const page = await elsewhere(t, browser);
  for (const path of ['/api/v1/events', '/api/v1/status', '/api/timeline?page=1', `/api/v1/events/${event.id}/picture`]) {
    const answer = await page.goto(`http://rebound.example:${edge.port()}${path}`);
    assert.ok([400, 403, 421].includes(answer.status()), `${path}: ${answer.status()}`);
    assert.ok(!(await answer.text()).includes(event.id));
  }
});

/** Runs in the page: what a stranger gets who knows link.js and the room. */
async function asStranger({ server, event }) {
  const { discover, connect } = await import(`${server}link.js`);
  const [device] = await discover(server);
  const pushed = [];
  const listen = (link) => {
    for (const kind of ['event', 'deleted', 'missed']) {
      link.events.addEventListener(kind, (it) => pushed.push(it.type));
    }
  };
  const ask = async (link, path, init) => {
    const answer = await link.fetch(path, init);
    return { status: answer.status, text: await answer.text() };
  };
  const closed = [
    ['GET', '/api/v1/status'], ['GET', '/api/v1/events'], ['GET', `/api/v1/events/${event}`],
    ['GET', `/api/v1/events/${event}/picture`], ['GET', `/api/v1/events/${event}/thumbnail`],
    ['DELETE', `/api/v1/events/${event}`], ['GET', '/api/v1/cameras'], ['GET', '/api/v1/clients'],
    ['GET', '/api/timeline?page=1'], ['POST', '/api/v1/pairing'],
  ];
  const bare = await connect({ signal: server, id: device.id });
  const forged = await connect({ signal: server, id: device.id, token: 'f'.repeat(32) });
  listen(bare);
  listen(forged);
  const answers = [];
  for (const link of [bare, forged]) {
    for (const [method, path] of closed) {
      answers.push({ path, ...(await ask(link, path, { method })) });
    }
  }
  const pair = (link, name) => ask(link, '/api/v1/pair', { method: 'POST', body: JSON.stringify({ name }) });
  window.pushed = pushed;
  window.links = [bare, forged];
  return { device, answers, first: await pair(bare, 'owner'), second: await pair(forged, 'stranger') };
}

test('a stranger in the room reads nothing, and pairs only while pairing is open', LIMIT, async (t) => {
  const { signal, edge, event } = await home(t);
  const page = await elsewhere(t, await launch(t));
  const server = `http://127.0.0.1:${signal.port()}/`;
  const seen = await page.evaluate(asStranger, { server, event: event.id });
  assert.equal(seen.device.name, 'Front door');
  for (const answer of seen.answers) {
    assert.equal(answer.status, 401, `${answer.path}: ${answer.status} ${answer.text}`);
    assert.ok(!answer.text.includes(event.id));
  }
  assert.equal(seen.first.status, 200, `the first phone pairs: ${seen.first.text}`);
  assert.match(JSON.parse(seen.first.text).token, /^[0-9a-f]{32}$/);
  assert.equal(seen.second.status, 403, seen.second.text);
  assert.equal(JSON.parse(seen.second.text).error.code, 'pairing_closed');

  const before = (await ask(edge, '/api/v1/status')).store.events;
  await eventually('more events', async () => (await ask(edge, '/api/v1/status')).store.events > before, 60_000);
  assert.deepEqual(await page.evaluate('window.pushed'), [], 'nothing is pushed to a stranger');
});

/** Runs in the page: the old PeerFetch way in. */
async function byPeerFetch({ host, port }) {
  const { register, othersInRoom, connect, json } = await import('/peerfetch.mjs');
  const token = 'stranger';
  const { peer, id } = await register(window.Peer, { host, port, token });
  const { others } = await othersInRoom({ host, port, token, id });
  const link = await connect(peer, others[0]);
  const timeline = await link.request('GET', 'api/timeline?page=1');
  const status = await link.request('GET', 'api/status?');
  return { timeline: [timeline.status, JSON.stringify(json(timeline))], status: status.status };
}

test('without --legacy-clients a PeerFetch client reads no event', LIMIT, async (t) => {
  const { signal, event } = await home(t);
  const file = (name) => ({ type: 'text/javascript', body: readFileSync(new URL(name, import.meta.url)) });
  const page = await elsewhere(t, await launch(t), {
    '/peerjs.js': file('./node_modules/peerjs-1.5.5/dist/peerjs.min.js'),
    '/peerfetch.mjs': file('./peerfetch.mjs'),
  });
  await page.addScriptTag({ url: '/peerjs.js' });
  const seen = await page.evaluate(byPeerFetch, { host: '127.0.0.1', port: signal.port() });
  assert.equal(seen.status, 200, 'the public route is public');
  assert.equal(seen.timeline[0], 401, seen.timeline[1]);
  assert.ok(!seen.timeline[1].includes(event.id));
});

/** A list, alone or under its name. */
function clientsOf(answer) {
  return Array.isArray(answer) ? answer : answer.clients;
}
