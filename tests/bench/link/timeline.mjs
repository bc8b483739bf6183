// The app's own page on a path of 50 ms: from an open link to twenty events with their thumbnails on the screen.

import { mkdirSync } from 'node:fs';
import { open, named, press } from '../../browser/chromium.mjs';
import { Program, ask, eventually, scratch, startEdge, startSignal, within } from '../../browser/program.mjs';
import { Relay, firstAddress, withCandidate } from './relay.mjs';

const EVENTS = 20;
/** Thumbnails that a phone's screen holds. */
const SCREEN = 3;
const SHOWN_WITHIN_MS = 60_000;
/** Demo cameras that see something within seconds of their start. */
const CAMERAS = 11;
const loaded = `${named('event-card')} .loaded`;

/** A data folder with twenty events and more. */
async function events(t) {
  const data = scratch(t);
  mkdirSync(data, { recursive: true });
  const cameras = Array.from({ length: CAMERAS }, (_, number) => ['--camera', `c${number}=demo:`]).flat();
  for (let seen = 0; seen < EVENTS; ) {
    const before = seen;
    const edge = await Program.start('nightjar-edge', ['--data-dir', data, '--http', '127.0.0.1:0', ...cameras]);
    seen = await eventually('more events', async () => {
      const page = await ask(edge, '/api/v1/events?limit=200&kind=motion,object');
      return page.events.length >= Math.min(before + CAMERAS, EVENTS) && page.events.length;
    });
    await edge.stop();
  }
  return data;
}

/** Runs in the page before anything else: every link goes through the relay, and says when it opens. */
function divert() {
  const Real = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Real {
    get localDescription() {
      const { type, sdp } = super.localDescription;
      return { type, sdp: sdp.replace(/a=candidate:.*\r\n/g, '') };
    }
    set onicecandidate(_) {}
    async setRemoteDescription({ type, sdp }) {
      return super.setRemoteDescription({ type, sdp: await window.relayed(sdp) });
    }
    async addIceCandidate() {}
    createDataChannel(...words) {
      const channel = super.createDataChannel(...words);
      channel.addEventListener('open', () => (window.opened = performance.now()));
      return channel;
    }
  };
}

/** Runs in the page: nothing of the timeline is kept any more. */
async function forget() {
  const request = indexedDB.open('nightjar');
  const database = await new Promise((done) => (request.onsuccess = () => done(request.result)));
  const names = ['events', 'thumbnails'].filter((name) => database.objectStoreNames.contains(name));
  const change = database.transaction(names, 'readwrite');
  for (const name of names) change.objectStore(name).clear();
  await new Promise((done) => (change.oncomplete = done));
  database.close();
}

/** Runs in the page: resolves to when it had been opened, and when thumbnails were shown: so many, and as many as a screen holds. */
function shown(selector, count, screen) {
  return new Promise((done) => {
    let first = null;
    const look = () => {
      const seen = document.querySelectorAll(selector).length;
      if (seen >= screen) first ??= performance.now();
      if (seen >= count) done([window.opened, first, performance.now()]);
      else requestAnimationFrame(look);
    };
    look();
  });
}

/** Opens the app as often as there are rounds. */
export async function timelines(t, { browser, wish, sample }) {
  const signal = await startSignal(t);
  const edge = await startEdge(t, { signal, data: await events(t), camera: 'replay:/nowhere' });
  // The camera that is missing is an event without a picture.
  const thumbnails = await eventually('the missing camera', async () => {
    const { events: newest } = await ask(edge, `/api/v1/events?limit=${EVENTS}`);
    const seen = newest.filter(({ kind }) => kind !== 'health');
    return seen.length < newest.length && seen.length;
  });
  const page = await open(browser, 'about:blank');
  // So tall that all of them are to be shown.
  await page.setViewport({ width: 412, height: 9000, isMobile: true, hasTouch: true });
  const relays = [];
  await page.exposeFunction('relayed', async (sdp) => {
    const relay = await Relay.start(wish.bench, 25, 0, 0);
    relays.push(relay);
    relay.lead(firstAddress(sdp));
    return withCandidate(sdp, relay.near);
  });
  await page.evaluateOnNewDocument(divert);
  await page.goto(`http://127.0.0.1:${signal.port()}/`);
  await press(page, named('pair'));
  await page.waitForSelector(loaded, { timeout: 60_000 });
  for (let round = 0; round < wish.rounds; round += 1) {
    await page.evaluate(forget);
    for (const relay of relays.splice(0)) relay.stop();
    await page.reload({ waitUntil: 'domcontentloaded' });
    const showing = page.evaluate(shown, loaded, thumbnails, SCREEN);
    const [link, screen, end] = await within(SHOWN_WITHIN_MS, 'the thumbnails', showing);
    sample(round, 'timeline-screen', 'edge', screen - link);
    sample(round, 'timeline', 'edge', end - link);
    sample(round, 'timeline-whole', 'edge', end);
  }
  for (const relay of relays) relay.stop();
  edge.kill();
}
