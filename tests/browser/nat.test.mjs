// Both peers behind symmetric NATs: what `ice` offers leads through a TURN server (Debian's coturn), for unmodified
// PeerJS and for our own link to our own box; without it the same lab has no way, and with kinder NATs STUN is enough.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { launch } from './chromium.mjs';
import { blank as bare, open, paths, start, startBox, startSignal } from './lab.mjs';
import { build } from './nat.mjs';
import { eventually, scratch } from './program.mjs';

const SECRET = 'a secret that two servers share';
const PEERJS = readFileSync(new URL('./node_modules/peerjs-1.5.5/dist/peerjs.min.js', import.meta.url), 'utf8');
const README = readFileSync(new URL('../../signal/README.md', import.meta.url), 'utf8');
/** Relays that coturn lets one user name have. */
const QUOTA = 12;
/** How long two peers may look for a way, ms; and where there is none: longer than Chromium sends its checks. */
const SEARCH_MS = 40_000;
const HOPELESS_MS = 18_000;

/** coturn with the settings that the signaling server's README shows; resolves to its URL. */
async function startTurn(t, host) {
  const folder = scratch(t);
  const [, shown] = README.match(/turnserver\.conf`:\n\n```text\n([^`]*)```/);
  const settings = shown.replace(/^static-auth-secret=.*$/m, `static-auth-secret=${SECRET}`);
  assert.ok(settings.includes(SECRET) && settings.includes(`\nuser-quota=${QUOTA}\n`), settings);
  const here = [
    `listening-ip=${host.address}`, 'no-tls', 'no-dtls', 'log-file=stdout', 'verbose', // which says when it is ready
    `pidfile=${folder}/pid`, `userdb=${folder}/users`,
  ];
  writeFileSync(`${folder}/turnserver.conf`, `${settings}${here.join('\n')}\n`);
  await start(t, host, '/usr/bin/turnserver', ['-c', `${folder}/turnserver.conf`], 'UDP listener opened on');
  return `turn:${host.address}:3478?transport=udp`;
}

/** A blank page with PeerJS in it. */
async function blank(browser) {
  const page = await bare(browser);
  await page.addScriptTag({ content: PEERJS });
  return page;
}

/** Runs in a page: registers with what `ice` offers, echoes what comes, and tells its id. */
async function echo(origin) {
  const { hostname: host, port } = new URL(origin);
  const config = await (await fetch(`${origin}/ice`)).json();
  const peer = new window.Peer({ host, port, path: '/', key: 'peerjs', config });
  peer.on('connection', (connection) => connection.on('data', (data) => connection.send(`${data}, too`)));
  return new Promise((done, fail) => {
    peer.on('open', done);
    peer.on('error', fail);
  });
}

/** Runs in a page: calls `other` likewise; resolves to what comes back, or to why nothing does. */
async function call(origin, other, within) {
  const { hostname: host, port } = new URL(origin);
  const config = await (await fetch(`${origin}/ice`)).json();
  const peer = new window.Peer({ host, port, path: '/', key: 'peerjs', config });
  await new Promise((done) => peer.on('open', done));
  const connection = peer.connect(other, { reliable: true });
  return new Promise((done) => {
    setTimeout(() => done('nothing in time'), within);
    peer.on('error', (error) => done(error.type));
    connection.on('error', (error) => done(error.type));
    connection.on('open', () => connection.send('hello'));
    connection.on('data', done);
  });
}

/** Two pages, one behind each NAT, exchange data or do not; resolves to what came back and on which path. */
async function talk(browsers, origin, within = SEARCH_MS) {
  const pages = await Promise.all(browsers.map(blank));
  const other = await pages[1].evaluate(echo, origin);
  const heard = await pages[0].evaluate(call, origin, other, within);
  const ways = await pages[0].evaluate(paths);
  await Promise.all(pages.map((page) => page.close()));
  return { heard, ways };
}

/** Runs in a page of the box's own network: the id of the device in its room. */
async function find(origin) {
  const { discover } = await import(`${origin}/link.js`);
  return (await discover(origin))[0]?.id;
}

/** Runs in a page: pairs with the box and reads its status and a picture through our own link. */
async function visit(origin, id) {
  const { connect } = await import(`${origin}/link.js`);
  const link = connect({ signal: origin, id });
  try {
    await link.opened;
  } catch (error) {
    return { reason: error.reason };
  }
  const paired = await link.fetch('/api/v1/pair', { method: 'POST', body: '{"name":"A phone"}' });
  link.token = (await paired.json()).token;
  const { name, cameras } = await (await link.fetch('/api/v1/status')).json();
  const picture = await link.fetch(`/api/v1/cameras/${encodeURIComponent(cameras[0].name)}/snapshot`);
  const start = [...new Uint8Array(await picture.arrayBuffer()).slice(0, 3)];
  return { name, status: picture.status, start };
}

/** Our own phone's way to our own box, from one network to another. */
async function visitBox(t, { lab, browsers, origin }) {
  await startBox(t, lab.box, origin);
  const [phone, neighbour] = await Promise.all(browsers.map(blank));
  const id = await eventually('the box in its room', () => neighbour.evaluate(find, origin));
  const seen = await phone.evaluate(visit, origin, id);
  const ways = await phone.evaluate(paths);
  await Promise.all([phone.close(), neighbour.close()]);
  return { ...seen, ways };
}

/** Runs in a page: what a TURN server gives `count` askers at once: relays, and codes of refusals. */
async function gather(server, count = 1) {
  const one = () => new Promise((done) => {
    const connection = new RTCPeerConnection({ iceServers: [server], iceTransportPolicy: 'relay' });
    connection.createDataChannel('x');
    const told = [];
    connection.onicecandidate = ({ candidate }) => candidate?.candidate && told.push(candidate.type);
    connection.onicecandidateerror = ({ errorCode }) => told.push(errorCode);
    connection.onicegatheringstatechange = () => {
      if (connection.iceGatheringState === 'complete') done(told);
    };
    connection.createOffer().then((offer) => connection.setLocalDescription(offer));
  });
  return (await Promise.all(Array.from({ length: count }, one))).flat();
}

/** What coturn's STUN client on `host` hears from there. */
async function bind(host, address, port) {
  const words = [...host.enter, 'timeout', '10', 'turnutils_stunclient', '-p', String(port), address];
  return (await promisify(execFile)(words[0], words.slice(1))).stdout;
}

/** What anybody with the secret can make. */
function login(until, mark = 'somebody') {
  const username = `${until}:${mark}`;
  return { username, credential: createHmac('sha1', SECRET).update(username).digest('base64') };
}

const relayed = (ways) => ways.length > 0 && ways.every((way) => way.includes('relay'));

test('behind symmetric NATs', { timeout: 240_000 }, async (t) => {
  const lab = await build(t, { meet: {}, phone: { nat: 'symmetric' }, box: { nat: 'symmetric' } });
  const turn = await startTurn(t, lab.meet);
  const secret = `${scratch(t)}/secret`;
  writeFileSync(secret, `${SECRET}\n`);
  const [{ origin }, { origin: poor }] = await Promise.all([
    startSignal(t, lab.meet, ['--turn-url', turn, '--turn-secret', secret]),
    startSignal(t, lab.meet),
  ]);
  const browsers = await Promise.all([lab.phone, lab.box].map((host) => launch(t, [], host.enter)));

  // What must fail takes longest; the others run meanwhile.
  const hopeless = Promise.all([talk(browsers, poor, HOPELESS_MS), visitBox(t, { lab, browsers, origin: poor })]);
  hopeless.catch(() => {});

  await t.test('PeerJS 1.5.5 talks through TURN', async () => {
    const { heard, ways } = await talk(browsers, origin);
    assert.equal(heard, 'hello, too');
    assert.ok(relayed(ways), `by way of ${ways}`);
  });

  await t.test('our link reaches our box through TURN', async () => {
    const { ways, ...seen } = await visitBox(t, { lab, browsers, origin });
    assert.deepEqual(seen, { name: 'Front door', status: 200, start: [0xff, 0xd8, 0xff] });
    assert.ok(relayed(ways), `by way of ${ways}`);
  });

  // Without a relay none of these kinds has a way: what must fail fails on.
  await t.test('one symmetric NAT is enough to need it, whosever it is', async (t) => {
    const box = await startBox(t, lab.box, origin);
    for (const [phone, its] of [['symmetric', 'port-restricted'], ['port-restricted', 'symmetric'], ['symmetric', 'symmetric']]) {
      lab.phone.become(phone);
      lab.box.become(its);
      const ways = await open(t, browsers[0], origin, box.id, `phone ${phone}, box ${its}, TURN`, 2);
      assert.ok(relayed(ways), `by way of ${ways}`);
    }
  });

  await t.test('coturn takes what ice offers, and nothing else', async () => {
    const page = await blank(browsers[0]);
    const { iceServers } = await page.evaluate(async (it) => (await fetch(`${it}/ice`)).json(), origin);
    const [stun, offered] = iceServers;
    assert.match(stun.urls, /^stun:203\.0\.113\.1:\d+$/);
    const ask = (server, count) => page.evaluate(gather, { urls: turn, ...server }, count);
    const [until, mark] = offered.username.split(':');
    const now = Date.now() / 1000;
    assert.ok(until > now + 3600 && until < now + 24 * 3600, `until ${until}`);
    assert.deepEqual(await ask(offered), ['relay']);
    const wrong = [
      { ...offered, credential: login(until, 'another').credential },
      { ...offered, username: `${Number(until) + 1}:${mark}` },
      login(Math.floor(now) - 10),
    ];
    for (const server of wrong) assert.deepEqual(await ask(server), [401], JSON.stringify(server));
    assert.deepEqual(await ask(login(Math.floor(now) + 600)), ['relay'], 'the time was at fault');

    // A network has its relays, and leaves the others theirs.
    const many = await ask(offered, QUOTA + 4);
    assert.ok(many.includes('relay') && many.includes(486), `${many}`);
    const other = await blank(browsers[1]);
    const theirs = await other.evaluate(async (it) => (await fetch(`${it}/ice`)).json(), origin);
    assert.notEqual(theirs.iceServers[1].username.split(':')[1], mark);
    assert.deepEqual(await other.evaluate(gather, theirs.iceServers[1]), ['relay']);
    await Promise.all([page.close(), other.close()]);
  });

  await t.test('STUN answers from the address that was asked', async () => {
    lab.meet.ip('address add 203.0.113.100/24 dev street');
    const args = ['--listen', '127.0.0.1:0', '--stun', '[::]:0'];
    const signal = await start(t, lab.meet, 'nightjar-signal', args);
    for (const address of [lab.meet.address, '203.0.113.100']) {
      assert.match(await bind(lab.phone, address, signal.port('stun')), /UDP reflexive addr: 203\.0\.113\.2:/, address);
    }
  });

  await t.test('without TURN there is no way', async () => {
    const [{ heard, ways }, link] = await hopeless;
    assert.ok(['negotiation-failed', 'nothing in time'].includes(heard), heard);
    assert.deepEqual(ways, []);
    assert.deepEqual(link, { reason: 'blocked', ways: [] });
  });

  await t.test('where a NAT keeps its ports, STUN is enough', async () => {
    for (const host of [lab.phone, lab.box]) host.become('port-restricted');
    const { heard, ways } = await talk(browsers, poor);
    assert.equal(heard, 'hello, too');
    assert.ok(ways.length > 0 && ways.every((way) => /^(srflx|prflx)-(srflx|prflx)$/.test(way)), `by way of ${ways}`);
  });
});
