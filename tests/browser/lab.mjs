// What runs on the hosts of a lab (nat.mjs): our two programs, and blank pages whose connections can be looked into.

import assert from 'node:assert/strict';
import { atEnd, eventually, Program, scratch } from './program.mjs';

/** Starts a program on a host of the lab, for as long as the test. */
export async function start(t, host, name, args, ready) {
  const program = await Program.start(name, args, { enter: host.enter, ready });
  atEnd(t, () => program.kill());
  return program;
}

/** A signaling server on the street; resolves to the program, with its `origin`. */
export async function startSignal(t, host, args = [], listen = `${host.authority}:0`) {
  const ours = ['--listen', listen, '--stun', `${host.authority}:0`];
  const signal = await start(t, host, 'nightjar-signal', [...ours, ...args]);
  signal.origin = `http://${signal.address()}`;
  return signal;
}

/** A box that is registered at the server of that origin; resolves to the program, with its peer `id`. */
export async function startBox(t, host, origin, { data = scratch(t), args = [] } = {}) {
  const box = await start(t, host, 'nightjar-edge', [
    '--data-dir', data, '--camera', 'demo:', '--signal', `${origin}/`, '--http', '127.0.0.1:0', '--name', 'Front door',
    ...args,
  ]);
  await eventually('the box to be registered', () => box.said.includes('signaling: connected'));
  box.id = host.ask(`http://${box.address()}/api/v1/status`).peer_id;
  return box;
}

/** A blank page. Each RTCPeerConnection that it makes is in `made`. */
export async function blank(browser) {
  const page = await browser.newPage();
  await page.evaluate(() => {
    window.made = [];
    window.RTCPeerConnection = class extends RTCPeerConnection {
      constructor(...args) {
        super(...args);
        window.made.push(this);
      }
    };
  });
  return page;
}

/** Runs in a page: the kinds of both ends of the paths in use, as `relay-prflx`. */
export async function paths() {
  const found = [];
  for (const connection of window.made) {
    const stats = await connection.getStats();
    for (const { type, selectedCandidatePairId: selected } of stats.values()) {
      if (type !== 'transport' || !selected) continue;
      const { localCandidateId: local, remoteCandidateId: remote } = stats.get(selected);
      found.push(`${stats.get(local).candidateType}-${stats.get(remote).candidateType}`);
    }
  }
  return found;
}

/** Runs in a page: a link to the box, kept in `link`: how long it took, ms, or why there is none. */
export async function reach(origin, id) {
  const { connect } = await import(`${origin}/link.js`);
  const since = performance.now();
  const link = connect({ signal: origin, id });
  try {
    await link.opened;
  } catch ({ reason, message }) {
    return { ms: performance.now() - since, reason, message };
  }
  const ms = performance.now() - since;
  const { status } = await link.fetch('/api/ping');
  window.link = link;
  return { ms, status };
}

/** How often a way is tried: the machine may be slow once, the link never. */
const TRIES = 3;
/** What the issue allows from both being ready to the open channel, ms; kept by the quickest. */
const OPEN_WITHIN_MS = 1000;

/** Calls the box some times from a blank page and says how long it took; resolves to the kinds of the paths. */
export async function open(t, browser, origin, id, words, tries = TRIES) {
  const page = await blank(browser);
  // What a phone has loaded before it calls is no part of the call.
  await page.evaluate((it) => import(`${it}/link.js`).then(() => true), origin);
  const took = [];
  const ways = new Set();
  for (let time = 0; time < tries; time += 1) {
    const { ms, status, ...why } = await page.evaluate(reach, origin, id);
    assert.equal(status, 200, `${words}: ${JSON.stringify(why)}`);
    took.push(Math.round(ms));
    (await page.evaluate(paths)).forEach((way) => ways.add(way));
    await page.evaluate(() => {
      window.link.close();
      window.made.length = 0;
    });
  }
  await page.close();
  t.diagnostic(`${words}: open after ${took.join(', ')} ms, by way of ${[...ways].join(' ')}`);
  assert.ok(Math.min(...took) <= OPEN_WITHIN_MS, `${words}: ${took.join(', ')} ms`);
  return [...ways];
}
