// In the page: one data channel at a time to whichever answerer, and what it is good for, timed.
import { Signaling } from './signaling.js';
import { emit, parse } from './wire.js';

const OPEN_WITHIN_MS = 30_000;
const utf8 = new TextEncoder();
const text = new TextDecoder();

let connection = null;
let channel = null;
let waiting = new Map();
let ticket = 0;
/** Bytes of bodies that came over the present channel. */
let arrived = 0;

/** A promise with a limit that names what was waited for. */
function within(ms, what, promise) {
  const late = new Promise((_, fail) => setTimeout(() => fail(new Error(`waited ${ms} ms for ${what}`)), ms));
  return Promise.race([promise, late]);
}

/** Begins a session: the offer, with all its candidates. */
async function offer() {
  close();
  connection = new RTCPeerConnection({ iceServers: [] });
  channel = connection.createDataChannel('nightjar', { ordered: true });
  channel.binaryType = 'arraybuffer';
  channel.onmessage = ({ data }) => take(new Uint8Array(data));
  const gathered = new Promise((done) => (connection.onicecandidate = ({ candidate }) => candidate || done()));
  await connection.setLocalDescription(await connection.createOffer());
  await within(OPEN_WITHIN_MS, 'candidates', gathered);
  return connection.localDescription.sdp;
}

/** Takes the answer; the ms until the channel is open. */
async function answer(sdp) {
  const opened = new Promise((done) => (channel.onopen = done));
  const began = performance.now();
  await connection.setRemoteDescription({ type: 'answer', sdp });
  await within(OPEN_WITHIN_MS, 'the channel to open', opened);
  return performance.now() - began;
}

/** The id of the only device of this network; undefined where there is none yet. */
async function device(signal) {
  const signaling = await new Signaling(signal).open();
  try {
    return (await signaling.devices())[0]?.id;
  } finally {
    signaling.close();
  }
}

/** Has the edge answer, through its signaling server. */
async function call(signal, id, sdp) {
  const signaling = await new Signaling(signal).open();
  const connectionId = `bench_${Math.random().toString(36).slice(2)}`;
  const answered = new Promise((done) => {
    signaling.onmessage = ({ type, payload }) => type === 'ANSWER' && payload.connectionId === connectionId && done(payload.sdp.sdp);
  });
  const payload = { sdp: { type: 'offer', sdp }, label: 'nightjar', reliable: true, serialization: 'raw', type: 'data', connectionId };
  signaling.send('OFFER', id, payload);
  try {
    return await within(OPEN_WITHIN_MS, 'an answer', answered);
  } finally {
    signaling.close();
  }
}

function close() {
  if (channel) channel.onmessage = null;
  connection?.close();
  connection = channel = null;
  waiting = new Map();
}

function take(bytes) {
  const { ticket: number, kind, piece } = parse(bytes);
  if (kind === 'PING') return channel.send(emit(number, 'PONG'));
  const one = waiting.get(number);
  if (!one) return undefined;
  if (kind === 'HEAD') one.head = JSON.parse(text.decode(piece));
  if (kind === 'MORE' || kind === 'LAST') {
    arrived += piece.length;
    one.bytes += piece.length;
    if (one.keep) one.pieces.push(piece);
  }
  if (kind === 'MORE' || kind === 'HEAD') return undefined;
  waiting.delete(number);
  if (kind === 'LAST' && one.head.length === one.bytes) return one.done(one);
  return one.fail(new Error(`${kind} after ${one.bytes} bytes of ${JSON.stringify(one.head)}`));
}

/** One request: its head and how many bytes came. */
function ask(path, { method = 'GET', body = '', token, keep = false } = {}) {
  ticket += 1;
  channel.send(emit(ticket, 'HEAD', utf8.encode(JSON.stringify({ method, path, token }))));
  channel.send(emit(ticket, 'LAST', utf8.encode(body)));
  return new Promise((done, fail) => waiting.set(ticket, { head: null, bytes: 0, pieces: [], keep, done, fail }));
}

/** The token that pairing gives. */
async function pair() {
  const { pieces } = await ask('/api/v1/pair', { method: 'POST', body: '{"name":"bench"}', keep: true });
  return JSON.parse(text.decode(pieces[0])).token;
}

async function timed(path, token) {
  const began = performance.now();
  const { head } = await ask(path, { token });
  if (head.status !== 200) throw new Error(`${path}: ${head.status}`);
  return performance.now() - began;
}

/** So many requests, one after the other: the ms of each. */
async function sequence(count, path, token) {
  const delays = [];
  while (delays.length < count) delays.push(await timed(path, token));
  return delays;
}

/** Small requests, one after the other, for as long as a large answer flows: the ms of each. */
async function beside(large, small, token) {
  let flows = true;
  const flow = ask(large, { token }).then(() => (flows = false));
  const delays = [];
  while (flows) delays.push(await timed(small, token));
  await flow;
  return delays;
}

/** Bytes that come within `ms` while `streams` requests for more than that are open. */
async function flow(ms, path, streams, token) {
  const before = arrived;
  for (let stream = 0; stream < streams; stream += 1) ask(path, { token }).catch(() => {});
  await new Promise((done) => setTimeout(done, ms));
  return arrived - before;
}

window.bench = { offer, answer, device, call, close, pair, sequence, beside, flow };
