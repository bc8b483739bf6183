// `link.js` from another origin: the page in signal/README.md as it stands there, and the face of `fetch`.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { launch, open } from './chromium.mjs';
import { ask, eventually, scratch, startEdge, startSignal } from './program.mjs';
import { serve } from './static.mjs';

/** The README's page, with another server in the place of its `https://meet.example/`. */
function example(server) {
  const readme = readFileSync(new URL('../../signal/README.md', import.meta.url), 'utf8');
  const pages = [...readme.matchAll(/^```html\n(.*?)^```$/gms)].map((it) => it[1]);
  assert.equal(pages.length, 1, 'one page in signal/README.md');
  const script = pages[0].match(/<script type="module">\n(.*?)<\/script>/s)[1];
  assert.ok(script.split('\n').filter((line) => line.trim()).length <= 22, 'about twenty lines');
  return pages[0].replaceAll('https://meet.example/', server);
}

const shown = (page) => page.$$eval('li', (all) => all.map((it) => ({ id: it.id, text: it.textContent })));

/** The page shows what it shows once `enough` of it. */
const until = (page, what, enough) => eventually(what, async () => {
  const all = await shown(page);
  assert.deepEqual(page.trouble, []);
  return enough(all) && all;
}, 90_000);

test('the page in signal/README.md works from another origin', { timeout: 240_000 }, async (t) => {
  const signal = await startSignal(t);
  const edge = await startEdge(t, { signal, data: scratch(t) });
  await eventually('an event', async () => (await ask(edge, '/api/v1/status')).store.events > 0, 60_000);
  const origin = await serve(t, {
    '/': { type: 'text/html; charset=utf-8', body: example(`http://127.0.0.1:${signal.port()}/`) },
    '/favicon.ico': { type: 'image/x-icon', body: '' },
  });
  const page = await open(await launch(t), `${origin}/`);

  const first = await until(page, 'the events so far', (all) => all.length > 0);
  const { events } = await ask(edge, '/api/v1/events');
  const ids = events.map((it) => it.id);
  assert.ok(first.every(({ id, text }) => ids.includes(id) && text.endsWith(events.find((it) => it.id === id).label)));
  const clients = await ask(edge, '/api/v1/clients');
  assert.deepEqual(clients.map((it) => it.name), ['My page']);

  // The page asks once; what it shows later was pushed.
  const before = new Set(first.map((it) => it.id));
  const later = await until(page, 'an event by itself', (all) => all.some((it) => !before.has(it.id)));
  assert.ok(!before.has(later[0].id), 'the newest is on top');

  await page.reload({ waitUntil: 'domcontentloaded' });
  await until(page, 'the events, with the kept token', (all) => all.length >= later.length);
  assert.equal((await ask(edge, '/api/v1/clients')).length, 1, 'it paired once');
});

/** Runs in the page: everything that a `fetch` is asked for. */
async function face(server) {
  const { LinkError, connect, discover } = await import(`${server}link.js`);
  const [device] = await discover(server);
  const link = connect({ signal: server, id: device.id });
  const states = [link.state];
  link.events.addEventListener('state', ({ detail }) => states.push(detail));
  const why = (error) => (error instanceof LinkError ? error.reason : error.name);
  const status = async (path, init) => (await link.fetch(path, init)).status;

  const ping = await link.fetch('/api/ping'); // waits until the link is open
  const pair = await link.fetch('/api/v1/pair', { method: 'post', body: JSON.stringify({ name: 'Face' }) });
  link.token = (await pair.json()).token;
  const list = await link.fetch('/api/v1/events?limit=1');
  const { id } = (await list.clone().json()).events[0];
  const thumbnail = await link.fetch(`/api/v1/events/${id}/thumbnail`);
  const headers = { 'If-None-Match': thumbnail.headers.get('etag') };
  const unchanged = await link.fetch(`/api/v1/events/${id}/thumbnail`, { headers: new Headers(headers) });
  const liked = await link.fetch(`/api/v1/events/${id}`, { method: 'PUT', body: new Blob(['{"favourite":true}']) });
  const seen = {
    ping: [ping instanceof Response, ping.ok, await ping.json()],
    list: [list.status, list.headers.get('content-type'), list.bodyUsed],
    thumbnail: [(await thumbnail.blob()).type, Number(thumbnail.headers.get('content-length')) > 0],
    unchanged: [unchanged.status, await unchanged.text()],
    liked: (await liked.json()).favourite,
    gone: await status(`/api/v1/events/${id}`, { method: 'DELETE' }),
    missing: await status(`/api/v1/events/${id}`),
    refused: await status('/api/v1/status', { method: 'PATCH' }),
    aborted: await link.fetch('/api/ping', { signal: AbortSignal.abort() }).catch(why),
    late: await link.fetch('/api/v1/test/slow?s=30', { signal: AbortSignal.timeout(200) }).catch(why),
    after: await status('/api/ping'),
  };
  const open = link.fetch('/api/v1/test/slow?s=30').catch(why);
  link.close();
  return { ...seen, open: await open, closed: await link.fetch('/api/ping').catch(why), why: why(link.error), states };
}

test('a link has the face of fetch', { timeout: 120_000 }, async (t) => {
  const signal = await startSignal(t);
  const edge = await startEdge(t, { signal, data: scratch(t), program: 'nightjar-edge-faults' });
  await eventually('an event', async () => (await ask(edge, '/api/v1/status')).store.events > 0, 60_000);
  const blank = { type: 'text/html', body: '<!doctype html><title>Elsewhere</title>' };
  const origin = await serve(t, { '/': blank, '/favicon.ico': { type: 'image/x-icon', body: '' } });
  const page = await open(await launch(t), `${origin}/`);
  assert.deepEqual(await page.evaluate(face, `http://127.0.0.1:${signal.port()}/`), {
    ping: [true, true, 'pong'],
    list: [200, 'application/json', false],
    thumbnail: ['image/jpeg', true],
    unchanged: [304, ''],
    liked: true,
    gone: 204,
    missing: 404,
    refused: 405,
    aborted: 'AbortError',
    late: 'TimeoutError',
    after: 200,
    open: 'closed',
    closed: 'closed',
    why: 'closed',
    states: ['connecting', 'open', 'closed'],
  });
  assert.deepEqual(page.trouble, []);
});
