// A page over days: it sleeps and wakes to a link that died meanwhile, and is offered a newer version of itself.

import assert from 'node:assert/strict';
import { createServer, request } from 'node:http';
import { test } from 'node:test';
import { launch, named, open, picture, press } from './chromium.mjs';
import { ask, eventually, scratch, startEdge, startSignal } from './program.mjs';

const connection = (page) => page.$eval(named('connection'), (it) => it.dataset.state);

test('a page that slept begins a new link when it wakes', { timeout: 120_000 }, async (t) => {
  const signal = await startSignal(t);
  const edge = await startEdge(t, { signal, data: scratch(t) });
  const page = await open(await launch(t), `http://127.0.0.1:${signal.port()}/`);
  await press(page, named('pair'));
  await page.waitForFunction((it) => document.querySelector(it)?.dataset.state === 'connected', { timeout: 30_000 }, named('connection'));
  const links = () => ask(edge, '/api/v1/status').then((status) => status.sessions);
  assert.equal(await links(), 1);

  const chromium = await page.createCDPSession();
  await page.evaluate((it) => {
    window.states = [];
    new MutationObserver(([{ target }]) => window.states.push(target.dataset.state))
      .observe(document.querySelector(it), { attributes: true, attributeFilter: ['data-state'] });
  }, named('connection'));
  await chromium.send('Page.setWebLifecycleState', { state: 'frozen' });
  await chromium.send('Page.setWebLifecycleState', { state: 'active' });
  const since = Date.now();
  await eventually('the link to be made anew', async () => {
    const states = await page.evaluate('window.states');
    return states.includes('connecting') && states.at(-1) === 'connected';
  });
  t.diagnostic(`awake: back after ${Date.now() - since} ms`);
  await eventually('the old session to be gone', async () => (await links()) === 1);
  assert.deepEqual(page.trouble, []);
});

/** What the issue allows from being reachable again to a link, ms; kept by the quicker of two tries. */
const BACK_WITHIN_MS = 3000;
/** Long enough for pauses between calls to have grown, ms. */
const OUTAGE_MS = 8000;

test('a page is back within three seconds of whatever was away', { timeout: 240_000 }, async (t) => {
  let signal = await startSignal(t);
  const address = `127.0.0.1:${signal.port()}`;
  const data = scratch(t);
  let edge = await startEdge(t, { signal, data });
  const page = await open(await launch(t), `http://${address}/`);
  const isBack = async () => (await ask(edge, '/api/v1/status')).sessions > 0 && (await connection(page)) === 'connected';
  await press(page, named('pair'));
  await eventually('a link', isBack);
  const box = async () => { edge = await startEdge(t, { signal, data }); };
  const meeting = async () => { signal = await startSignal(t, address); };
  const outage = () => new Promise((done) => setTimeout(done, OUTAGE_MS));

  const cases = {
    'a box that was restarted': async () => { await edge.stop(); await box(); },
    'a box that was killed': async () => { edge.kill(); await box(); },
    'a box that was away': async () => { edge.kill(); await outage(); await box(); },
    'a meeting point that was away, and a box with it': async () => {
      await signal.stop();
      await edge.stop();
      await outage();
      await meeting();
      await box();
    },
    'a meeting point that came back after its box': async () => {
      await signal.stop();
      await edge.stop();
      await box();
      await outage();
      await meeting();
    },
  };
  for (const [words, act] of Object.entries(cases)) {
    const took = [];
    for (let time = 0; time < 2; time += 1) {
      await act();
      const since = Date.now();
      await eventually(words, isBack);
      took.push(Date.now() - since);
    }
    t.diagnostic(`${words}: back after ${took.join(' and ')} ms`);
    assert.ok(Math.min(...took) <= BACK_WITHIN_MS, `${words}: ${took}`);
  }
  // While the meeting point alone is away, the link stays.
  await signal.stop();
  await outage();
  assert.ok(await isBack());
});

/** A front for `port` whose service worker changes when `newer` is called. */
async function front(t, port) {
  let suffix = '';
  const server = createServer((asked, answer) => {
    const { method, url, headers } = asked;
    request({ port, host: '127.0.0.1', method, path: url, headers: { ...headers, 'if-none-match': '' } }, (from) => {
      const parts = [];
      from.on('data', (part) => parts.push(part));
      from.on('end', () => {
        const body = Buffer.concat(parts);
        const whole = url === '/sw.js' ? Buffer.concat([body, Buffer.from(suffix)]) : body;
        const { 'transfer-encoding': _, ...kept } = from.headers;
        answer.writeHead(from.statusCode, { ...kept, 'content-length': whole.length });
        answer.end(whole);
      });
    }).on('error', () => answer.destroy()).end();
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => server.close());
  return { origin: `http://127.0.0.1:${server.address().port}/`, newer: () => (suffix = '\n// another version\n') };
}

test('a new version is offered, and taken when the reader says so', { timeout: 120_000 }, async (t) => {
  const signal = await startSignal(t);
  const { origin, newer } = await front(t, signal.port());
  const page = await open(await launch(t), origin);
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => true));
  await page.reload();
  await page.waitForFunction('navigator.serviceWorker.controller !== null');
  assert.ok(await page.$eval(named('new-version'), (it) => it.hidden), 'nothing is offered yet');

  newer();
  await page.evaluate(() => navigator.serviceWorker.ready.then((it) => it.update()).then(() => true));
  await page.waitForSelector(named('new-version'), { visible: true, timeout: 20_000 });
  await picture(page, '8-new-version');
  await page.evaluate('window.old = true');
  await press(page, named('reload'));
  await page.waitForFunction('window.old === undefined && document.readyState === "complete"', { timeout: 20_000 });
  const waiting = await page.evaluate(() => navigator.serviceWorker.ready.then((it) => it.waiting !== null));
  assert.equal(waiting, false, 'the new version runs');
  assert.ok(await page.$eval(named('new-version'), (it) => it.hidden));
  assert.equal(await connection(page), 'none');
});
