// The phone's side of the link in virtual time: a seeded box that delays, reorders tickets, breaks off and dies.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PARTIALS, Partials } from '../../signal/web/js/link/partials.js';
import {
  DEAD_AFTER_MS, DOUBT_AFTER_MS, HEAL_WITHIN_MS, HELD_BYTES, PING_BUSY_MS, PING_IDLE_MS, Requester, STREAM_BYTES, UNASKED_BYTES,
  WATERMARK_BYTES, WINDOW_BYTES,
} from '../../signal/web/js/link/requester.js';
import { PIECE_BYTES, credit, emit, parse, split } from '../../signal/web/js/link/wire.js';

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

test('a request goes out as HEAD and LAST, or as a HEAD alone, and its answer comes back whole', () => {
  const requester = new Requester(0, { firstTicket: 0xffff_ffff });
  const request = { method: 'PUT', path: '/api/v1/device', token: 'ab', ifNoneMatch: '"1"', body: json({ name: 'x' }) };
  const ticket = requester.request(0, request);
  assert.equal(ticket, 0xffff_ffff);
  const [window, head, last] = sent(drain(requester));
  assert.deepEqual(emit(window.ticket, window.kind, window.piece), credit(0, WINDOW_BYTES), 'before the first request');
  assert.deepEqual(readJson(head.piece), { method: 'PUT', path: '/api/v1/device', token: 'ab', if_none_match: '"1"' });
  assert.deepEqual([last.kind, readJson(last.piece)], ['LAST', { name: 'x' }]);
  answer(requester, 5, ticket, json([1]), { status: 201, etag: '"2"' });
  const [response] = drain(requester);
  assert.deepEqual([response.ticket, response.head.status, readJson(response.body)], [ticket, 201, [1]]);
  assert.equal(requester.request(6, { method: 'GET', path: '/' }), 0, 'tickets wrap');
  const bare = sent(drain(requester));
  assert.deepEqual(bare.map(({ kind }) => kind), ['HEAD'], 'nothing follows where there is no body');
  assert.deepEqual(readJson(bare[0].piece), { method: 'GET', path: '/', length: 0 });
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

test('a streamed body is asked for piece by piece, as far as the device takes it', () => {
  const requester = new Requester(0);
  const body = Uint8Array.from({ length: 300_000 }, (_, at) => at % 251);
  const put = { method: 'PUT', path: '/api/v1/system/update', length: body.length };
  const ticket = requester.request(0, put);
  const got = [];
  /** Gives what is wanted while the channel takes all of it. */
  const flow = () => {
    for (let wanted = true; wanted; ) {
      requester.handleBuffered(0, 0);
      const outputs = drain(requester);
      got.push(...sent(outputs));
      wanted = outputs.filter(({ type }) => type === 'want');
      for (const { from, to, ...want } of wanted) requester.handleBody(want.ticket, body.subarray(from, to));
      wanted = wanted.length > 0;
    }
    return got.filter(({ kind }) => kind === 'MORE' || kind === 'LAST').reduce((sum, { piece }) => sum + piece.length, 0);
  };
  assert.equal(flow(), UNASKED_BYTES);
  assert.deepEqual(readJson(got[1].piece), { method: 'PUT', path: put.path, length: body.length });
  requester.handleChunk(1, credit(ticket, 70_000));
  requester.handleChunk(1, credit(ticket, 66_000)); // counts back
  requester.handleChunk(1, credit(ticket + 1, 300_000)); // nobody's
  assert.equal(flow(), 70_000);
  const small = requester.request(2, { method: 'PUT', path: '/x', body: json({}) });
  flow();
  assert.deepEqual(got.slice(-2).map((chunk) => [chunk.ticket, chunk.kind]), [[small, 'HEAD'], [small, 'LAST']], 'goes before');
  requester.handleChunk(3, credit(ticket, 0xffff_ffff));
  assert.equal(flow(), body.length + json({}).length);
  const pieces = got.filter((chunk) => chunk.ticket === ticket && chunk.kind !== 'HEAD' && chunk.kind !== 'CREDIT');
  assert.deepEqual(Buffer.concat(pieces.map(({ piece }) => piece)), Buffer.from(body));
  assert.deepEqual([...new Set(pieces.map(({ kind }) => kind))], ['MORE', 'LAST']);
  assert.equal(requester.noise, 0);
  assert.throws(() => requester.request(4, { ...put, length: STREAM_BYTES + 1 }), TypeError);
});

test('a streamed body ends with its answer, its cancel and its link', () => {
  for (const end of ['answer', 'cancel', 'die']) {
    const requester = new Requester(0);
    const ticket = requester.request(0, { method: 'PUT', path: '/', length: 1_000_000 });
    assert.ok(kinds(drain(requester)).includes('want'));
    if (end === 'answer') answer(requester, 1, ticket, json({}), { status: 409 });
    else requester[end](ticket);
    drain(requester);
    requester.handleBody(ticket, new Uint8Array(9)); // was read meanwhile
    requester.handleChunk(2, credit(ticket, 1_000_000));
    assert.equal(kinds(drain(requester)), 'timeout', end);
  }
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

const pattern = (length, seed = 1) => Uint8Array.from({ length }, (_, at) => (at * 31 + seed * 7 + (at >> 8)) & 255);
const GET = { method: 'GET', path: '/picture' };
const headOf = (outputs) => readJson(sent(outputs).find(({ kind }) => kind === 'HEAD').piece);

test('an answer that a lost link broke off goes on where it did, on the next link', () => {
  const partials = new Partials();
  const body = pattern(5 * PIECE_BYTES);
  const etag = '"e"';
  let now = 0;
  let from = 0;
  for (const pieces of [0, 1, 2, 0, 1]) {
    const requester = new Requester((now += 1), { partials });
    const ticket = requester.request(now, GET);
    const head = headOf(drain(requester));
    assert.deepEqual([head.from, head.if_range], from ? [from, etag] : [undefined, undefined]);
    if (pieces > 0) {
      const rest = { status: from ? 206 : 200, length: body.length - from, from: from || undefined, etag };
      requester.handleChunk(now, emit(ticket, 'HEAD', json(rest)));
      for (const chunk of split(ticket, body.subarray(from)).slice(0, pieces)) requester.handleChunk(now, chunk);
      from += pieces * PIECE_BYTES;
    }
    requester.die();
    assert.equal(kinds(drain(requester)), 'failed dead timeout');
  }
  const requester = new Requester(now, { partials });
  const ticket = requester.request(now, GET);
  const second = requester.request(now, GET);
  assert.equal(headOf(drain(requester)).from, 4 * PIECE_BYTES);
  answer(requester, now, ticket, body.subarray(from), { status: 206, from, etag });
  answer(requester, now, second, body, { etag });
  for (const response of drain(requester).slice(0, 2)) {
    assert.deepEqual([response.head.status, response.head.length, response.head.etag], [200, body.length, etag]);
    assert.deepEqual(response.body, body, 'the caller sees one whole body');
  }
});

/** A link on which `pieces` of a body came, and then no more. */
function broken(partials, etag = '"e"', path = '/picture', pieces = 2) {
  const requester = new Requester(0, { partials });
  const ticket = requester.request(0, { method: 'GET', path });
  const body = pattern(4 * PIECE_BYTES);
  requester.handleChunk(0, emit(ticket, 'HEAD', json({ status: 200, length: body.length, etag })));
  for (const chunk of split(ticket, body).slice(0, pieces)) requester.handleChunk(0, chunk);
  requester.die();
}

test('another body is never joined to an old beginning', () => {
  const other = pattern(3 * PIECE_BYTES, 2);
  const answered = (head, body) => {
    const partials = new Partials();
    broken(partials);
    const requester = new Requester(0, { partials });
    const ticket = requester.request(0, GET);
    assert.equal(headOf(drain(requester)).from, 2 * PIECE_BYTES);
    answer(requester, 0, ticket, body, head);
    const [first, second] = drain(requester);
    return { output: first.type === 'transmit' ? second : first, partials };
  };
  const whole = answered({ status: 200, etag: '"f"' }, other).output;
  assert.deepEqual([whole.type, whole.head.etag, whole.body], ['response', '"f"', other]);
  const rest = other.subarray(PIECE_BYTES);
  for (const head of [
    { status: 206, from: 2 * PIECE_BYTES, etag: '"f"' },
    { status: 206, from: PIECE_BYTES, etag: '"e"' },
    { status: 206, from: 2 * PIECE_BYTES, etag: '"e"', length: 7 },
    { status: 206, etag: '"e"' },
    { status: 416 },
  ]) {
    const { output, partials } = answered(head, rest);
    assert.deepEqual([output.type, output.reason], ['failed', 'the answer does not go on where it broke off']);
    assert.equal(partials.take('/picture'), undefined, 'and the next who asks gets it whole');
  }
  const busy = answered({ status: 503 }, json({}));
  assert.equal(busy.output.head.status, 503);
  assert.equal(busy.partials.take('/picture').bytes, 2 * PIECE_BYTES, 'later perhaps');
});

test('only beginnings that can be gone on with are kept, and few', () => {
  const partials = new Partials();
  broken(partials, null, '/untagged');
  broken(partials, 'W/"weak"', '/weak');
  broken(partials, '"e"', '/short', 0);
  for (const path of ['/untagged', '/weak', '/short']) assert.equal(partials.take(path), undefined, path);
  for (let n = 0; n <= PARTIALS; n += 1) broken(partials, '"e"', `/${n}`);
  assert.equal(partials.take('/0'), undefined, 'the oldest went');
  assert.equal(partials.take('/1').bytes, 2 * PIECE_BYTES);
  assert.equal(partials.take('/1'), undefined, 'handed out once');
  const requester = new Requester(0, { partials });
  requester.request(0, { method: 'PUT', path: '/2' });
  assert.equal(headOf(drain(requester)).from, undefined, 'only what is read goes on');
  requester.request(0, { method: 'GET', path: '/2', from: 5, ifRange: '"x"' });
  const { from, if_range } = headOf(drain(requester));
  assert.deepEqual([from, if_range], [5, '"x"'], "the caller's own");
});

test('what is cancelled halfway goes on too', () => {
  const partials = new Partials();
  const requester = new Requester(0, { partials });
  const ticket = requester.request(0, GET);
  requester.handleChunk(0, emit(ticket, 'HEAD', json({ status: 200, length: 3 * PIECE_BYTES, etag: '"e"' })));
  requester.handleChunk(0, emit(ticket, 'MORE', pattern(PIECE_BYTES)));
  requester.handleChunk(0, emit(ticket, 'MORE', pattern(PIECE_BYTES)));
  requester.cancel(ticket);
  drain(requester);
  requester.request(0, GET);
  assert.equal(headOf(drain(requester)).from, 2 * PIECE_BYTES);
});

test('bulk that came is told in steps of a quarter of the window', () => {
  const requester = new Requester(0);
  const ticket = requester.request(0, GET);
  drain(requester);
  requester.handleChunk(0, emit(ticket, 'HEAD', json({ status: 200, length: 1 << 30 })));
  let came = 0;
  let told = 0;
  for (let n = 0; n < 500; n += 1) {
    // What comes for a request that is gone has come all the same.
    requester.handleChunk(0, emit(n % 3 ? ticket : 77, 'MORE', pattern(1 + ((n * 997) % PIECE_BYTES))));
    came += 1 + ((n * 997) % PIECE_BYTES);
    for (const chunk of sent(drain(requester))) {
      assert.deepEqual([chunk.kind, chunk.ticket], ['CREDIT', came]);
      told = came;
    }
    assert.ok(came - told < WINDOW_BYTES / 4);
  }
  assert.ok(told > 2 * WINDOW_BYTES);
});

test('bodies of requests wait for room in the channel, one after the other, and nothing waits behind them', () => {
  const requester = new Requester(0);
  const bodies = [1, 2, 3].map((seed) => pattern(40_000 + seed, seed));
  const tickets = bodies.map((body) => requester.request(0, { method: 'PUT', path: '/', body }));
  requester.request(0, { method: 'PUT', path: '/small', body: json({}) });
  const order = [];
  let buffered = 0;
  for (let turn = 0; turn < 40; turn += 1) {
    requester.handleBuffered(0, buffered);
    for (const { ticket, kind, piece } of sent(drain(requester))) {
      order.push(kind === 'MORE' || kind === 'LAST' ? `${kind} ${ticket}` : kind);
      buffered += 5 + piece.length;
    }
    assert.ok(buffered < WATERMARK_BYTES[0] + PIECE_BYTES + 5, `${buffered} bytes wait`);
    if (turn === 2) requester.cancel(tickets[1]);
    buffered = Math.max(0, buffered - 9000);
  }
  const first = ['CREDIT', 'HEAD', 'HEAD', 'HEAD', 'HEAD', 'LAST 3'];
  const body = (ticket) => [`MORE ${ticket}`, `MORE ${ticket}`, `LAST ${ticket}`];
  assert.deepEqual(order, [...first, ...body(0), 'MORE 1', 'CANCEL', ...body(2)]);
});

test('a request that is answered before it is whole is not sent on', () => {
  const requester = new Requester(0);
  const ticket = requester.request(0, { method: 'PUT', path: '/', body: pattern(200_000) });
  assert.equal(sent(drain(requester)).at(-1).kind, 'MORE');
  answer(requester, 1, ticket, json({}), { status: 413 });
  requester.handleBuffered(1, 0);
  assert.equal(kinds(drain(requester)), 'response timeout');
});

test('a body waits in the channel for a tenth of a second, on a slow path and on a fast one', () => {
  for (const [bytesPerMs, least, most] of [[0, 32, 32], [40, 32, 32], [1000, 95, 105], [9000, 256, 256]]) {
    const requester = new Requester(0);
    const body = pattern(1 << 20);
    let buffered = 0;
    let waits = 0;
    for (let now = 0, n = 0; now < 1000; now += 1) {
      if (requester.open === 0) requester.request(now, { method: 'PUT', path: '/', body });
      requester.handleBuffered(now, buffered);
      for (const { kind, piece, ticket } of sent(drain(requester))) {
        buffered += 5 + piece.length;
        if (kind === 'LAST') answer(requester, now, ticket, json({ n: (n += 1) }));
      }
      waits = buffered;
      buffered = Math.max(0, buffered - bytesPerMs);
    }
    const kib = Math.round(requester.watermark / 1024);
    assert.ok(least <= kib && kib <= most, `${kib} KiB at ${bytesPerMs} bytes a ms`);
    assert.ok(waits <= requester.watermark + PIECE_BYTES + 5, `${waits} bytes wait`);
  }
});

test('answers that would not fit are cancelled, and their room is free again', () => {
  const requester = new Requester(0);
  const big = new Uint8Array(PIECE_BYTES);
  const ask = () => {
    const ticket = requester.request(0, GET);
    requester.handleChunk(0, emit(ticket, 'HEAD', json({ status: 200 })));
    return ticket;
  };
  const [first, second] = [ask(), ask()];
  drain(requester);
  const half = Math.floor(HELD_BYTES / 2 / PIECE_BYTES);
  const more = emit(first, 'MORE', big);
  const more2 = emit(second, 'MORE', big);
  for (let n = 0; n <= half; n += 1) {
    requester.handleChunk(0, more);
    requester.handleChunk(0, more2);
  }
  const failed = drain(requester).filter(({ type }) => type === 'failed');
  assert.deepEqual(failed.map(({ reason }) => reason), ['the answer is too long']);
  const third = ask();
  answer(requester, 0, third, json([]));
  assert.ok(drain(requester).some(({ type, ticket }) => type === 'response' && ticket === third));
});

test('a head that is too long is refused before it is sent', () => {
  const requester = new Requester(0);
  assert.throws(() => requester.request(0, { method: 'GET', path: `/${'a'.repeat(5000)}` }), TypeError);
  assert.equal(kinds(drain(requester)), 'timeout');
});
