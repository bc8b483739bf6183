// The phone's side of the link in virtual time: a seeded box that delays, reorders tickets, breaks off and dies.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEAD_AFTER_MS, DOUBT_AFTER_MS, HEAL_WITHIN_MS, PING_BUSY_MS, PING_IDLE_MS, Requester } from '../../signal/web/js/link/requester.js';
import { emit, parse, split } from '../../signal/web/js/link/wire.js';

const utf8 = new TextEncoder();
const json = (value) => utf8.encode(JSON.stringify(value));
const readJson = (bytes) => JSON.parse(new TextDecoder().decode(bytes));

/** Everything the requester has to say now; the last one is its timeout. */
function drain(requester) {
  const outputs = [];
  do outputs.push(requester.pollOutput());
  while (outputs.at(-1).type !== 'timeout');
  return outputs;
}

const sent = (outputs) => outputs.filter(({ type }) => type === 'transmit').map(({ bytes }) => parse(bytes));
const kinds = (outputs) => outputs.map(({ type }) => type).join(' ');

function answer(requester, now, ticket, body, head = {}) {
  requester.handleChunk(now, emit(ticket, 'HEAD', json({ status: 200, length: body.length, ...head })));
  for (const chunk of split(ticket, body)) requester.handleChunk(now, chunk);
}

/** A small seeded generator (mulberry32). */
function seeded(seed) {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

test('a request goes out as HEAD and LAST and its answer comes back whole', () => {
  const requester = new Requester(0, 0xffff_ffff);
  const request = { method: 'PUT', path: '/api/v1/device', token: 'ab', ifNoneMatch: '"1"', body: json({ name: 'x' }) };
  const ticket = requester.request(0, request);
  assert.equal(ticket, 0xffff_ffff);
  const [head, last] = sent(drain(requester));
  assert.deepEqual(readJson(head.piece), { method: 'PUT', path: '/api/v1/device', token: 'ab', if_none_match: '"1"' });
  assert.deepEqual([last.kind, readJson(last.piece)], ['LAST', { name: 'x' }]);
  answer(requester, 5, ticket, json([1]), { status: 201, etag: '"2"' });
  const [response] = drain(requester);
  assert.deepEqual([response.ticket, response.head.status, readJson(response.body)], [ticket, 201, [1]]);
  assert.equal(requester.request(6, { method: 'GET', path: '/' }), 0, 'tickets wrap');
});

test('many requests with seeded delays each get their own answer', () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const random = seeded(seed);
    const requester = new Requester(0);
    const under_way = [];
    const wanted = new Map();
    const got = new Map();
    for (let now = 0; now < 60_000; now += 20) {
      if (requester.open < 40 && random(4) === 0 && wanted.size < 300) {
        const body = new Uint8Array(random(60_000)).fill(random(256));
        const ticket = requester.request(now, { method: 'GET', path: '/' });
        wanted.set(ticket, body);
        const chunks = [emit(ticket, 'HEAD', json({ status: 200, length: body.length })), ...split(ticket, body)];
        under_way.push({ at: now + random(3000), chunks });
      }
      requester.handleTimeout(now);
      for (const answer of under_way) {
        if (answer.at > now || answer.chunks.length === 0) continue;
        requester.handleChunk(now, answer.chunks.shift());
        answer.at = now + random(60);
      }
      for (const output of drain(requester)) {
        if (output.type === 'response') got.set(output.ticket, output.body);
        if (output.type === 'transmit' && parse(output.bytes).kind === 'PING') {
          under_way.push({ at: now + random(2000), chunks: [emit(parse(output.bytes).ticket, 'PONG')] });
        }
        assert.notEqual(output.type, 'dead', `seed ${seed} at ${now}`);
      }
    }
    assert.equal(got.size, wanted.size, `seed ${seed}`);
    for (const [ticket, body] of wanted) assert.deepEqual(got.get(ticket), body);
  }
});

test('a cancelled request says so once and ignores what still comes', () => {
  const requester = new Requester(0);
  const ticket = requester.request(0, { method: 'GET', path: '/' });
  drain(requester);
  requester.handleChunk(1, emit(ticket, 'HEAD', json({ status: 200, length: 3 })));
  requester.cancel(ticket);
  requester.cancel(ticket);
  assert.deepEqual(sent(drain(requester)).map(({ kind }) => kind), ['CANCEL']);
  requester.handleChunk(2, emit(ticket, 'LAST', utf8.encode('abc')));
  assert.equal(kinds(drain(requester)), 'timeout');
  assert.equal(requester.noise, 0);
});

test('an answer that breaks off or comes short fails its request alone', () => {
  const requester = new Requester(0);
  const [first, second, third] = [1, 2, 3].map(() => requester.request(0, { method: 'GET', path: '/' }));
  drain(requester);
  requester.handleChunk(1, emit(first, 'HEAD', json({ status: 200, length: 9 })));
  requester.handleChunk(1, emit(first, 'CANCEL'));
  requester.handleChunk(1, emit(second, 'HEAD', json({ status: 200, length: 9 })));
  requester.handleChunk(1, emit(second, 'LAST', utf8.encode('abc')));
  answer(requester, 1, third, utf8.encode('fine'));
  const outputs = drain(requester);
  assert.equal(kinds(outputs), 'failed failed response timeout');
  assert.deepEqual(outputs.slice(0, 3).map(({ ticket }) => ticket), [first, second, third]);
});

test('noise is counted and dropped', () => {
  const requester = new Requester(0);
  const ticket = requester.request(0, { method: 'GET', path: '/' });
  drain(requester);
  const noise = [
    new Uint8Array(0),
    Uint8Array.of(0, 0, 0, 0, 99),
    emit(ticket, 'MORE', utf8.encode('before its head')),
    emit(ticket, 'HEAD', utf8.encode('{')),
    emit(ticket, 'HEAD', json({ status: 99 })),
    emit(0, 'PUSH', utf8.encode('null')),
  ];
  for (const bytes of noise) requester.handleChunk(1, bytes);
  assert.equal(requester.noise, noise.length);
  answer(requester, 2, ticket, utf8.encode('still fine'));
  assert.equal(kinds(drain(requester)), 'response timeout');
});

test('pushes arrive in order, and a gap is told as missed', () => {
  const requester = new Requester(0);
  requester.handleChunk(1, emit(0, 'PUSH', json({ type: 'deleted', id: '1' })));
  requester.handleChunk(1, emit(2, 'PUSH', json({ type: 'deleted', id: '3' })));
  const pushes = drain(requester).filter(({ type }) => type === 'push').map(({ message }) => message.type);
  assert.deepEqual(pushes, ['deleted', 'missed', 'deleted']);
});

test('a ping is answered with its own ticket', () => {
  const requester = new Requester(0);
  requester.handleChunk(1, emit(0x0102_0304, 'PING'));
  assert.deepEqual(sent(drain(requester)), [{ ticket: 0x0102_0304, kind: 'PONG', piece: new Uint8Array(0) }]);
});

test('a device that answers a call for another path is heard soon, or the link is dead', () => {
  const requester = new Requester(0);
  requester.handleMended(1);
  assert.equal(drain(requester).at(-1).at, PING_IDLE_MS, 'nothing was in doubt');
  requester.handleTimeout(PING_IDLE_MS);
  const doubted = PING_IDLE_MS + DOUBT_AFTER_MS;
  requester.handleTimeout(doubted);
  requester.handleMended(doubted + 300);
  requester.handleMended(doubted + 400);
  assert.equal(drain(requester).at(-1).at, doubted + 300 + HEAL_WITHIN_MS, 'the first answer counts');
  requester.handleChunk(doubted + 900, emit(0, 'PONG'));
  assert.equal(drain(requester).at(-1).at, doubted + 900 + PING_IDLE_MS);
  requester.handleTimeout(doubted + 900 + PING_IDLE_MS);
  requester.handleTimeout(doubted + 900 + PING_IDLE_MS + DOUBT_AFTER_MS);
  requester.handleMended(doubted + 900 + PING_IDLE_MS + DEAD_AFTER_MS - 1);
  assert.equal(drain(requester).at(-1).at, doubted + 900 + PING_IDLE_MS + DEAD_AFTER_MS, 'never later than without');
});

test('silence is pinged, an answered ping keeps the link, an unanswered one ends it', () => {
  const requester = new Requester(0);
  assert.equal(drain(requester).at(-1).at, PING_IDLE_MS);
  requester.handleTimeout(PING_IDLE_MS - 1);
  assert.equal(kinds(drain(requester)), 'timeout');
  requester.handleTimeout(PING_IDLE_MS);
  assert.deepEqual(sent(drain(requester)).map(({ kind }) => kind), ['PING']);
  requester.handleChunk(PING_IDLE_MS + 10, emit(0, 'PONG'));
  const ticket = requester.request(PING_IDLE_MS + 20, { method: 'GET', path: '/' });
  const ping_at = PING_IDLE_MS + 10 + PING_BUSY_MS;
  assert.equal(drain(requester).at(-1).at, ping_at, 'someone waits: pinged sooner');
  requester.handleTimeout(ping_at);
  assert.equal(drain(requester).at(-1).at, ping_at + DOUBT_AFTER_MS);
  requester.handleTimeout(ping_at + DOUBT_AFTER_MS);
  assert.equal(kinds(drain(requester)), 'doubt timeout', 'another path is looked for, once');
  requester.handleTimeout(ping_at + DEAD_AFTER_MS - 1);
  assert.equal(kinds(drain(requester)), 'timeout');
  requester.handleTimeout(ping_at + DEAD_AFTER_MS);
  const outputs = drain(requester);
  assert.equal(kinds(outputs), 'failed dead timeout');
  assert.equal(outputs[0].ticket, ticket);
  assert.equal(outputs.at(-1).at, Infinity);
  assert.throws(() => requester.request(0, { method: 'GET', path: '/' }));
});

test('hours of idling cost one ping each five seconds', () => {
  const requester = new Requester(0);
  let now = 0;
  let pings = 0;
  while (now < 3_600_000) {
    const outputs = drain(requester);
    for (const { ticket, kind } of sent(outputs)) {
      assert.equal(kind, 'PING');
      pings += 1;
      requester.handleChunk(now + 30, emit(ticket, 'PONG'));
    }
    now = drain(requester).at(-1).at;
    requester.handleTimeout(now);
  }
  assert.equal(pings, Math.floor(3_600_000 / (PING_IDLE_MS + 30)));
});

test('a head that is too long is refused before it is sent', () => {
  const requester = new Requester(0);
  assert.throws(() => requester.request(0, { method: 'GET', path: `/${'a'.repeat(5000)}` }), TypeError);
  assert.equal(kinds(drain(requester)), 'timeout');
});
