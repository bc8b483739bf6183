// From one network to another: the way is direct wherever theory allows, and open within a second; where it does not,
// the page says so in words.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { confess, launch, named, open as openPage, picture, press } from './chromium.mjs';
import { blank, open, reach, startBox, startSignal } from './lab.mjs';
import { build } from './nat.mjs';

const LIMIT = { timeout: 300_000 };
/** Longer than a page looks for a way, ms. */
const SEARCH_MS = 40_000;

/** What the issue allows from being reachable again to a link, ms. */
const BACK_WITHIN_MS = 3000;

const isDirect = (ways) => ways.length > 0 && ways.every((way) => !way.includes('relay'));

/** A lab with everything in it that a call needs. */
async function town(t, hosts, options) {
  const lab = await build(t, { meet: {}, ...hosts }, options);
  const signal = await startSignal(t, lab.meet);
  const box = await startBox(t, lab.box, signal.origin);
  const browser = await launch(t, [], lab.phone.enter);
  return { lab, signal, box, browser };
}

/** Runs in a page whose link's path is broken: how long until the box answers again, ms, and by how many links. */
async function outlive(origin, id) {
  const { connect } = await import(`${origin}/link.js`);
  const since = performance.now();
  for (let links = 1; ; links += 1) {
    const answer = await window.link.fetch('/api/ping').catch(() => null);
    if (answer) return { ms: performance.now() - since, status: answer.status, links };
    window.link = connect({ signal: origin, id });
  }
}

/** The page's state of connection, and the sentence that explains it. */
const explained = (page, state, words) =>
  page.waitForFunction((mark, banner, expect, pattern) => {
    const sentence = document.querySelector(banner);
    return document.querySelector(mark).dataset.state === expect && !sentence.hidden && new RegExp(pattern).test(sentence.innerText);
  }, { timeout: SEARCH_MS }, named('connection'), named('offline-banner'), state, words);

test('between two NATs', LIMIT, async (t) => {
  const { lab, signal, box, browser } = await town(t, { phone: { nat: 'full-cone' }, box: { nat: 'full-cone' } });
  const { origin } = signal;
  const between = (phone, its) => {
    lab.phone.become(phone);
    lab.box.become(its);
    return `phone ${phone}, box ${its}`;
  };

  for (const [phone, its] of [
    ['full-cone', 'full-cone'], ['port-restricted', 'port-restricted'], ['full-cone', 'symmetric'], ['symmetric', 'full-cone'],
  ]) {
    await t.test(`the way is direct: phone ${phone}, box ${its}`, async (t) => {
      const ways = await open(t, browser, origin, box.id, between(phone, its));
      assert.ok(isDirect(ways), `by way of ${ways}`);
    });
  }

  await t.test('another address of the phone or of the box is survived', async (t) => {
    between('full-cone', 'full-cone');
    const page = await blank(browser);
    const linked = await page.evaluate(reach, origin, box.id);
    assert.equal(linked.status, 200, JSON.stringify(linked));
    const took = { phone: [], box: [] };
    for (const [who, last] of [['phone', 7], ['box', 8], ['phone', 9], ['box', 10]]) {
      // A path that has just been found is not measured yet.
      await page.evaluate(() => new Promise((done) => setTimeout(done, 2000)));
      lab[who].move(last);
      const { ms, status, links } = await page.evaluate(outlive, origin, box.id);
      assert.equal(status, 200, who);
      took[who].push(`${Math.round(ms)} ms${links > 1 ? ' with another link' : ''}`);
      assert.ok(ms < SEARCH_MS, `${who}: ${ms} ms`);
    }
    for (const [who, times] of Object.entries(took)) t.diagnostic(`another address of the ${who}: an answer after ${times.join(' and ')}`);
    assert.ok(Math.min(...took.phone.concat(took.box).map(parseFloat)) <= BACK_WITHIN_MS, JSON.stringify(took));
    await page.close();
  });

  await t.test('the page says why there is no way, and that it is another thing than an absent box or meeting point', async (t) => {
    between('symmetric', 'port-restricted');
    const page = await openPage(browser, `${origin}/#device=${box.id}`);
    const wait = (what, act) => act.catch(async (error) => { throw new Error(`${what}: ${error.message}\n${await confess(page, 'ways')}`); });
    await press(page, named('pair'));
    await wait('no way', page.waitForSelector(named('pair-error'), { timeout: SEARCH_MS }));
    const words = await page.$eval(named('pair-error'), (it) => it.innerText);
    assert.match(words, /this network blocks direct connections; a relay is needed/);
    await picture(page, '9-no-way');

    between('full-cone', 'symmetric');
    await press(page, `${named('pair-error')} button`);
    const state = (it) => page.waitForSelector(`${named('connection')}[data-state="${it}"]`, { timeout: SEARCH_MS });
    await wait('a way', state('connected'));

    between('symmetric', 'port-restricted');
    await page.reload();
    await wait('no way for a paired phone', explained(page, 'blocked', 'Front door is there, but this network blocks direct connections; a relay is needed'));
    await picture(page, '9-no-way-paired');
    box.kill();
    await wait('no box', explained(page, 'away', 'Front door does not answer'));
    signal.kill();
    await wait('no meeting point', explained(page, 'offline', 'The meeting point cannot be reached'));
    await page.close();
  });
});

test('with IPv6 alone, through two firewalls', LIMIT, async (t) => {
  const { signal, box, browser } = await town(t, { phone: { nat: 'firewall' }, box: { nat: 'firewall' } }, { family: 6 });
  const ways = await open(t, browser, signal.origin, box.id, 'IPv6 only');
  assert.ok(isDirect(ways), `by way of ${ways}`);
});

test('in one LAN whose hosts reach each other by the public address only', LIMIT, async (t) => {
  const { lab, signal, box, browser } = await town(t, { phone: { nat: 'full-cone' }, box: { behind: 'phone' } });
  assert.equal(lab.phone.outside, lab.box.outside);
  const ways = await open(t, browser, signal.origin, box.id, 'hairpin');
  assert.ok(isDirect(ways) && ways.every((way) => !way.includes('host')), `by way of ${ways}`);
});
