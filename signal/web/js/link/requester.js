// The phone's side of the link, without I/O: tickets, chunks, cancel, rests, credit, keepalive. Time is an argument.
//
//  request ──► open ──HEAD──► answered ──MORE*──LAST──► response
//               │                │
//               └──── CANCEL, cancel(), death ────────► failed; what has come is kept for the next who asks
//
// One mutation, then `pollOutput` until it says `timeout`.
import { HEAD_BYTES, PIECE_BYTES, credit, emit, parse, split } from './wire.js';

/** Requests that may be open at once; the box answers the next one 429. */
export const OPEN_REQUESTS = 64;
/** Silence before a ping, ms: while something is awaited, and while nothing is. */
export const PING_BUSY_MS = 1000;
export const PING_IDLE_MS = 1500;
/** A ping unanswered for so long puts the path in doubt, ms. */
export const DOUBT_AFTER_MS = 1000;
/** A ping unanswered for so long ends the link, ms. */
export const DEAD_AFTER_MS = 6000;
/** A device that answered a call for another path has so long to be heard on it, ms; a new link is quicker then. */
export const HEAL_WITHIN_MS = 2000;
/** Largest body of a request that is sent at all, bytes; above 64 KiB the box answers 413. */
export const REQUEST_BYTES = 1 << 20;
/** Largest body that is streamed, bytes; and how much of one is sent before the device says how much it takes. */
export const STREAM_BYTES = 256 << 20;
export const UNASKED_BYTES = 64 * 1024;
/** Bytes of answers held at once, those that are whole and handed out not counted; one beyond is cancelled. */
export const HELD_BYTES = 256 << 20;
/**
 * Bytes that may wait in the channel before further pieces of requests' bodies are held back: what it passes on in so
 * many ms, as measured over a part of them, within bounds.
 */
export const WATERMARK_BYTES = [32 * 1024, 256 * 1024];
const WATERMARK_MS = 100;
const MEASURED_MS = 50;
/** Bytes of bulk that may be on their way to us, as we tell the device; a quarter of it taken, and it is told. */
export const WINDOW_BYTES = 1 << 20;

const EMPTY = new Uint8Array(0);
const utf8 = new TextEncoder();
const text = new TextDecoder('utf-8', { fatal: true });

/** Requests in flight over one channel. */
export class Requester {
  #open = new Map();
  #output = [];
  /** Chunks of longer bodies, by ticket: one body after the other, as the device's room for them is small. */
  #uploads = new Map();
  /** Streamed bodies, by ticket: what the page is asked for piece by piece, as the device takes it. */
  #streams = new Map();
  #buffered = 0;
  /** Bytes sent in all; and when how many had left the channel. */
  #sent = 0;
  #measured;
  #watermark = WATERMARK_BYTES[0];
  #held = 0;
  #taken = 0;
  #told = null;
  #window;
  #partials;
  #heard;
  #pinged = null;
  #doubted = false;
  #deadAt = Infinity;
  #nextTicket;
  #pings = 0;
  #pushes = 0;
  #dead = false;
  /** Chunks that made no sense and were dropped. */
  noise = 0;

  /**
   * @param {number} now ms
   * @param {{firstTicket?: number, windowBytes?: number, partials?: import('./partials.js').Partials}} [options]
   *   `partials`: what broke off on earlier links to this device
   */
  constructor(now, { firstTicket = 0, windowBytes = WINDOW_BYTES, partials = undefined } = {}) {
    this.#heard = now;
    this.#measured = { at: now, gone: 0 };
    this.#window = windowBytes;
    this.#partials = partials;
    this.#nextTicket = firstTicket >>> 0;
  }

  /** How many requests wait for their end. */
  get open() {
    return this.#open.size;
  }

  /**
   * Opens a request. The answer to a GET goes on with what is kept of it, and is a 200 all the same; with `from` it is
   * the caller who goes on. With `length` its body is streamed: `pollOutput` asks for it piece by piece.
   * @param {number} now ms
   * @param {{method: string, path: string, token?: string, ifNoneMatch?: string, from?: number, ifRange?: string,
   *   body?: Uint8Array, length?: number}} request
   * @returns {number} its ticket
   */
  request(now, { method, path, token, ifNoneMatch, from, ifRange, body = EMPTY, length = 0 }) {
    if (this.#dead) throw new Error('the link is dead');
    const resumable = method === 'GET' && from === undefined;
    const partial = resumable ? this.#partials?.take(path) : undefined;
    const range = partial ? { from: partial.bytes, if_range: partial.head.etag } : { from, if_range: ifRange };
    const bare = length === 0 && body.length === 0;
    const following = length > 0 || bare ? { length } : {};
    const head = utf8.encode(JSON.stringify({ method, path, token, if_none_match: ifNoneMatch, ...following, ...range }));
    if (head.length > HEAD_BYTES) throw new TypeError(`a request head of ${head.length} bytes`);
    if (body.length > REQUEST_BYTES) throw new TypeError(`a request body of ${body.length} bytes`);
    if (length > STREAM_BYTES) throw new TypeError(`a streamed body of ${length} bytes`);
    const ticket = this.#ticket();
    if (this.#open.size === 0) this.#heard = Math.max(this.#heard, now - PING_BUSY_MS);
    this.#open.set(ticket, { path, resumable, partial, head: null, pieces: [], bytes: 0 });
    if (this.#told === null) this.#credit();
    this.#transmit(emit(ticket, 'HEAD', head));
    if (bare) return ticket;
    if (length > 0) {
      this.#streams.set(ticket, { length, sent: 0, room: UNASKED_BYTES, wanted: false });
      return ticket;
    }
    const chunks = split(ticket, body);
    if (chunks.length === 1) this.#transmit(chunks[0]);
    else this.#uploads.set(ticket, chunks);
    return ticket;
  }

  /** Gives a request up; whatever still comes for it is dropped. */
  cancel(ticket) {
    if (!this.#open.has(ticket)) return;
    this.#keep(this.#settle(ticket));
    this.#transmit(emit(ticket, 'CANCEL'));
  }

  /** Takes the piece of a streamed body that was wanted. */
  handleBody(ticket, piece) {
    const stream = this.#streams.get(ticket);
    if (!stream?.wanted) return;
    stream.wanted = false;
    stream.sent += piece.length;
    const last = stream.sent === stream.length;
    if (last) this.#streams.delete(ticket);
    this.#transmit(emit(ticket, last ? 'LAST' : 'MORE', piece));
  }

  /** Bytes that may wait in the channel now. */
  get watermark() {
    return this.#watermark;
  }

  /** Takes how many bytes wait in the channel now; what is sent is added by itself. */
  handleBuffered(now, bytes) {
    this.#buffered = bytes;
    const { at, gone } = this.#measured;
    if (now - at < MEASURED_MS) return;
    this.#measured = { at: now, gone: this.#sent - bytes };
    const passed = ((this.#measured.gone - gone) / (now - at)) * WATERMARK_MS;
    this.#watermark = Math.min(Math.max(passed, WATERMARK_BYTES[0]), WATERMARK_BYTES[1]);
  }

  /** Takes one message of the channel. */
  handleChunk(now, bytes) {
    if (this.#dead) return;
    this.#heard = now;
    this.#pinged = null;
    this.#doubted = false;
    const chunk = parse(bytes);
    if (!chunk) {
      this.noise += 1;
      return;
    }
    const { ticket, kind, piece } = chunk;
    if (kind === 'MORE') this.#take(piece.length);
    if (kind === 'PING') this.#transmit(emit(ticket, 'PONG'));
    else if (kind === 'PUSH') this.#push(ticket, piece);
    else if (kind === 'CREDIT') this.#grant(ticket, piece);
    else if (kind !== 'PONG') this.#answer(ticket, kind, piece);
  }

  /** Lets time pass: pings after silence, doubts the path when nobody answers, and at last declares the link dead. */
  handleTimeout(now) {
    if (this.#dead || now < this.#deadline()) return;
    if (this.#pinged === null) {
      this.#pinged = now;
      this.#deadAt = now + DEAD_AFTER_MS;
      this.#transmit(emit(this.#pings, 'PING'));
      this.#pings = (this.#pings + 1) >>> 0;
    } else if (now >= this.#deadAt) {
      this.die();
    } else {
      this.#doubted = true;
      this.#output.push({ type: 'doubt' });
    }
  }

  /** The device has answered a call for another path. */
  handleMended(now) {
    if (this.#doubted) this.#deadAt = Math.min(this.#deadAt, now + HEAL_WITHIN_MS);
  }

  /** Ends everything: every open request fails. */
  die() {
    if (this.#dead) return;
    this.#dead = true;
    this.#output = this.#output.filter((output) => output.type !== 'transmit');
    for (const ticket of this.#open.keys()) this.#keep(this.#fail(ticket, 'the link was lost'));
    this.#output.push({ type: 'dead' });
  }

  /**
   * The next thing to do, `timeout` last:
   * `{type: 'transmit', bytes}`, `{type: 'response', ticket, head, body}`, `{type: 'failed', ticket, reason}`,
   * `{type: 'want', ticket, from, to}` (bytes of a streamed body, for `handleBody`),
   * `{type: 'push', message}`, `{type: 'doubt'}`, `{type: 'dead'}`, `{type: 'timeout', at}` (ms, Infinity when dead).
   */
  pollOutput() {
    const output = this.#output.shift() ?? this.#upload();
    if (output?.type === 'transmit') {
      this.#buffered += output.bytes.length;
      this.#sent += output.bytes.length;
    }
    return output ?? { type: 'timeout', at: this.#dead ? Infinity : this.#deadline() };
  }

  #deadline() {
    if (this.#pinged !== null) return this.#doubted ? this.#deadAt : this.#pinged + DOUBT_AFTER_MS;
    return this.#heard + (this.#open.size > 0 ? PING_BUSY_MS : PING_IDLE_MS);
  }

  #ticket() {
    while (this.#open.has(this.#nextTicket)) this.#nextTicket = (this.#nextTicket + 1) >>> 0;
    const ticket = this.#nextTicket;
    this.#nextTicket = (ticket + 1) >>> 0;
    return ticket;
  }

  #transmit(bytes) {
    this.#output.push({ type: 'transmit', bytes });
  }

  #upload() {
    if (this.#dead || this.#buffered >= this.#watermark) return undefined;
    for (const [ticket, chunks] of this.#uploads) {
      const bytes = chunks.shift();
      if (chunks.length === 0) this.#uploads.delete(ticket);
      return { type: 'transmit', bytes };
    }
    for (const [ticket, stream] of this.#streams) {
      const { length, sent, room, wanted } = stream;
      const to = Math.min(sent + PIECE_BYTES, room, length);
      if (wanted || to <= sent) continue;
      stream.wanted = true;
      return { type: 'want', ticket, from: sent, to };
    }
    return undefined;
  }

  /** The device takes so many bytes of a streamed body in all. */
  #grant(ticket, piece) {
    const stream = this.#streams.get(ticket);
    if (!stream) return;
    const room = new DataView(piece.buffer, piece.byteOffset).getUint32(0);
    stream.room = Math.max(stream.room, room);
  }

  /** Bulk has come: the device is told in steps that leave it three quarters of the window. */
  #take(bytes) {
    this.#taken += bytes;
    if (this.#told !== null && this.#taken - this.#told >= this.#window / 4) this.#credit();
  }

  #credit() {
    this.#told = this.#taken;
    this.#transmit(credit(this.#taken >>> 0, this.#window));
  }

  #settle(ticket) {
    const request = this.#open.get(ticket);
    this.#open.delete(ticket);
    this.#uploads.delete(ticket);
    this.#streams.delete(ticket);
    this.#held -= request.bytes;
    return request;
  }

  #fail(ticket, reason) {
    this.#output.push({ type: 'failed', ticket, reason });
    return this.#settle(ticket);
  }

  #keep({ path, resumable, partial, head, pieces, bytes }) {
    if (!resumable) return;
    if (head) this.#partials?.keep(path, { head, pieces, bytes });
    else if (partial) this.#partials?.keep(path, partial);
  }

  #push(ticket, piece) {
    const gap = ticket !== this.#pushes;
    this.#pushes = (ticket + 1) >>> 0;
    if (gap) this.#output.push({ type: 'push', message: { type: 'missed' } });
    const message = readJson(piece);
    if (typeof message?.type === 'string') this.#output.push({ type: 'push', message });
    else this.noise += 1;
  }

  #answer(ticket, kind, piece) {
    const request = this.#open.get(ticket);
    if (!request) return; // cancelled, or none of ours: the rest of it may still be under way
    if (kind === 'CANCEL') this.#fail(ticket, 'the answer broke off');
    else if (kind === 'HEAD') this.#head(ticket, request, piece);
    else if (!request.head) this.noise += 1;
    else this.#piece(ticket, request, kind, piece);
  }

  #head(ticket, request, piece) {
    const head = readJson(piece);
    if (request.head || !Number.isInteger(head?.status) || head.status < 200 || head.status > 599) {
      this.noise += 1;
      return;
    }
    request.head = head;
    const { partial } = request;
    if (partial) this.#goOn(ticket, request, partial);
  }

  /** The first word of an answer whose beginning is here: its rest, another body whole, or a refusal. */
  #goOn(ticket, request, partial) {
    const { head } = request;
    request.partial = undefined;
    if (head.status !== 206 && head.status !== 416) {
      if (head.status >= 400) this.#partials.keep(request.path, partial);
      return;
    }
    const { etag, length } = partial.head;
    if (head.status === 416 || head.from !== partial.bytes || head.etag !== etag || head.from + head.length !== length) {
      this.#refuse(ticket, 'the answer does not go on where it broke off');
      return;
    }
    request.head = partial.head;
    request.pieces = partial.pieces;
    this.#hold(request, partial.bytes);
  }

  #piece(ticket, request, kind, piece) {
    this.#hold(request, piece.length);
    if (this.#held > HELD_BYTES) {
      this.#refuse(ticket, 'the answer is too long');
      return;
    }
    if (piece.length > 0) request.pieces.push(piece.slice());
    if (kind === 'MORE') return;
    const { length } = request.head;
    if (Number.isInteger(length) && length !== request.bytes) {
      this.#fail(ticket, `${request.bytes} bytes came of ${length}`);
      return;
    }
    this.#settle(ticket);
    this.#output.push({ type: 'response', ticket, head: request.head, body: join(request) });
  }

  #hold(request, bytes) {
    request.bytes += bytes;
    this.#held += bytes;
  }

  #refuse(ticket, reason) {
    this.#transmit(emit(ticket, 'CANCEL'));
    this.#fail(ticket, reason);
  }
}

function join({ pieces, bytes }) {
  if (pieces.length === 1) return pieces[0];
  const body = new Uint8Array(bytes);
  let at = 0;
  for (const piece of pieces) {
    body.set(piece, at);
    at += piece.length;
  }
  return body;
}

function readJson(bytes) {
  try {
    return JSON.parse(text.decode(bytes));
  } catch {
    return null;
  }
}
