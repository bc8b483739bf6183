// The public module: find the devices of this network, and speak REST to one of them over WebRTC.
//
//   import { discover, connect } from 'https://your.server/link.js';
//   const [device] = await discover('https://your.server/');
//   const link = connect({ signal: 'https://your.server/', id: device.id, token });
//   const events = await (await link.fetch('/api/v1/events')).json();
//   link.events.addEventListener('event', ({ detail }) => show(detail.event));
//
// Works on insecure origins too. A link lives once: after `closed`, connect again. A whole page, and what the device
// answers, are in signal/README.md, "The link".
import { Ahead } from './js/link/ahead.js';
import { LinkError } from './js/link/error.js';
import { Partials } from './js/link/partials.js';
import { Requester } from './js/link/requester.js';
import { dial } from './js/link/rtc.js';
import { Signaling } from './js/link/signaling.js';

export { LinkError, Partials };

/**
 * A device that a signaling server names. The id is its address from anywhere, and no secret.
 * @typedef {{id: string, name: string}} Found
 */

/**
 * Whom to connect to: the signaling server, the device's id there, and the token that pairing gave, if there is one;
 * `partials` are an earlier link's.
 * @typedef {{signal: string|URL, id: string, token?: string, partials?: Partials}} Target
 */

/** @typedef {'connecting'|'open'|'closed'} State */

/**
 * What happened to an event of the camera's, as `/api/v1/events/{id}` has it; `ended_ms` is null while it lasts.
 * @typedef {object} Seen
 * @property {string} id
 * @property {string} kind `object`, `motion` or `health`
 * @property {string} label
 * @property {string} camera
 * @property {number} started_ms Unix time, ms
 * @property {number|null} ended_ms
 * @property {number} score 0 to 1
 * @property {[number, number, number, number]} box x, y, width, height, 0 to 1
 * @property {boolean} favourite
 * @property {boolean} reviewed
 */

/**
 * What the device pushes, in `detail` of the DOM event that has its `type`: an event is new or changed, one was
 * deleted, or some could not be told (read the list again).
 * @typedef {{type: 'event', event: Seen}|{type: 'deleted', id: string}|{type: 'missed'}} Push
 */

/**
 * The devices of this network, by the signaling server's room.
 * @param {string|URL} signal
 * @returns {Promise<Found[]>} the one that is there longest first
 * @throws {LinkError} `signaling`
 */
export async function discover(signal) {
  const signaling = new Signaling(signal);
  try {
    await signaling.open();
    return await signaling.devices();
  } finally {
    signaling.close();
  }
}

/**
 * Starts a link to a device. It can be used at once: `fetch` waits until the link is open.
 * With the `partials` of an earlier link to the same device, an answer that broke off there goes on where it did.
 * @param {Target} target
 * @returns {Link}
 */
export function connect(target) {
  return new Link(target);
}

const NO_BODY = new Set([204, 205, 304]);
const utf8 = new TextEncoder();

/**
 * A request that waits for its answer.
 * @typedef {object} Waiting
 * @property {(response: Response) => void} resolve
 * @property {(reason: unknown) => void} reject
 * @property {() => void} forget takes its hands off the AbortSignal
 * @property {Ahead|null} source where a streamed body comes from
 * @property {(bytes: number) => void} onsent hears how much of it is sent
 */

/** One link to one device. */
class Link {
  /** @type {string} */
  #id;
  /** @type {RTCDataChannel|null} */
  #channel = null;
  #hangUp = () => {};
  #mend = () => {};
  /** @type {Requester|null} */
  #requester = null;
  /** @type {Map<number, Waiting>} by ticket */
  #waiting = new Map();
  #timer = 0;
  /** @type {(() => void)|null} */
  #closing = null;
  /** @type {(reason: LinkError) => void} */
  #abandon = () => {};
  /** @type {Partials} */
  #partials;
  /**
   * Tells `state` (a CustomEvent whose detail is the new State), and `event`, `deleted` and `missed` (detail: a Push).
   * A device pushes once a request of this link has shown a valid token.
   */
  events = new EventTarget();
  /** @type {State} */
  state = 'connecting';
  /** Why it is closed. @type {LinkError|null} */
  error = null;
  /** Resolves when the link is open; rejects with a LinkError when it cannot be had. @type {Promise<void>} */
  opened;
  /** Sent with every request; may be set after pairing. @type {string|undefined} */
  token;

  /** @param {Target} target */
  constructor({ signal, id, token, partials = new Partials() }) {
    this.#id = id;
    this.#partials = partials;
    this.token = token;
    /** @type {Promise<never>} */
    const abandoned = new Promise((_, reject) => (this.#abandon = reject));
    abandoned.catch(() => {});
    this.opened = Promise.race([this.#open(signal), abandoned]);
    this.opened.catch((error) => this.#end(error));
  }

  /** @param {string|URL} signal */
  async #open(signal) {
    const signaling = new Signaling(signal);
    this.#closing = () => signaling.close();
    try {
      await signaling.open();
      const iceServers = await signaling.iceServers();
      if (this.state === 'closed') throw this.error;
      const line = await dial(signaling, this.#id, iceServers);
      if (this.error) line.hangUp(); // closed meanwhile
      else this.#adopt(line);
    } finally {
      signaling.close();
    }
  }

  /** @param {import('./js/link/rtc.js').Line} line */
  #adopt(line) {
    const { channel } = line;
    this.#channel = channel;
    this.#hangUp = () => line.hangUp();
    this.#mend = () => line.mend();
    this.#requester = new Requester(performance.now(), { partials: this.#partials });
    channel.onbufferedamountlow = () => this.#drain();
    channel.onmessage = ({ data }) => {
      if (!(data instanceof ArrayBuffer)) return;
      this.#requester.handleChunk(performance.now(), new Uint8Array(data));
      this.#drain();
    };
    channel.onclose = line.ongone = () => this.#end(new LinkError('lost', 'The device ended the link.'));
    line.onmended = () => {
      this.#requester.handleMended(performance.now());
      this.#drain();
    };
    this.#become('open');
    this.#drain();
  }

  /**
   * As window.fetch, for a path of the device. `init`: method, body (text or bytes), headers (If-None-Match, If-Range
   * and Range of the form `bytes=N-` are carried), signal. Rejects with a LinkError when the link ends or the answer breaks off.
   * A body that is a Blob, as a File, is read while it is sent; `onsent` hears how many bytes are.
   * @param {string} path with its query
   * @param {RequestInit & {onsent?: (bytes: number) => void}} [init]
   * @returns {Promise<Response>}
   */
  async fetch(path, init = {}) {
    const { method = 'GET', signal = null, onsent = () => {} } = init;
    const blob = init.body instanceof Blob && init.body.size > 0 ? init.body : null;
    const body = await bytesOf(blob ? null : init.body);
    const length = blob?.size ?? 0;
    const carried = carriedOf(new Headers(init.headers));
    signal?.throwIfAborted();
    await unlessAborted(this.opened, signal);
    if (this.state !== 'open') throw this.error;
    return new Promise((resolve, reject) => {
      const request = { method: method.toUpperCase(), path: String(path), token: this.token, ...carried, body, length };
      const ticket = this.#requester.request(performance.now(), request);
      const abort = () => {
        this.#settle(ticket);
        this.#requester.cancel(ticket);
        this.#drain();
        reject(signal.reason);
      };
      signal?.addEventListener('abort', abort, { once: true });
      const forget = () => signal?.removeEventListener('abort', abort);
      this.#waiting.set(ticket, { resolve, reject, forget, source: blob && new Ahead(blob), onsent });
      this.#drain();
    });
  }

  /** Ends the link; requests in flight reject. */
  close() {
    this.#end(new LinkError('closed', 'This page closed the link.'));
  }

  #drain() {
    clearTimeout(this.#timer);
    this.#requester.handleBuffered(performance.now(), this.#channel.bufferedAmount);
    this.#channel.bufferedAmountLowThreshold = this.#requester.watermark / 2;
    for (;;) {
      const output = this.#requester.pollOutput();
      if (output.type === 'timeout') {
        this.#schedule(output.at);
        return;
      }
      this.#act(output);
    }
  }

  /** @param {any} output of Requester.pollOutput */
  #act(output) {
    switch (output.type) {
      case 'transmit':
        this.#transmit(output.bytes);
        break;
      case 'response':
        this.#settle(output.ticket)?.resolve(responseOf(output));
        break;
      case 'failed':
        this.#settle(output.ticket)?.reject(this.error ?? new LinkError('broken', output.reason));
        break;
      case 'want':
        this.#read(output);
        break;
      case 'push':
        this.events.dispatchEvent(new CustomEvent(output.message.type, { detail: output.message }));
        break;
      case 'doubt':
        this.#mend();
        break;
      case 'dead':
        this.#end(new LinkError('lost', 'The device fell silent.'));
        break;
    }
  }

  /** Reads the next piece of a streamed body. @param {{ticket: number, from: number, to: number}} wanted */
  async #read({ ticket, from, to }) {
    const { source, onsent, reject } = this.#waiting.get(ticket);
    try {
      const piece = await source.read(from, to);
      if (!this.#waiting.has(ticket) || this.state !== 'open') return;
      this.#requester.handleBody(ticket, piece);
      onsent(from + piece.length);
    } catch (error) {
      this.#settle(ticket);
      this.#requester.cancel(ticket);
      reject(error);
    }
    this.#drain();
  }

  /** @param {Uint8Array<ArrayBuffer>} bytes */
  #transmit(bytes) {
    try {
      this.#channel.send(bytes);
    } catch {
      this.#end(new LinkError('lost', 'The link is gone.'));
    }
  }

  /** Takes a request off the list. @param {number} ticket */
  #settle(ticket) {
    const waiting = this.#waiting.get(ticket);
    this.#waiting.delete(ticket);
    waiting?.forget();
    return waiting;
  }

  /** @param {number} at ms */
  #schedule(at) {
    if (at === Infinity || this.state !== 'open') return;
    const wait = Math.max(0, at - performance.now());
    this.#timer = setTimeout(() => {
      this.#requester.handleTimeout(performance.now());
      this.#drain();
    }, wait);
  }

  /** @param {LinkError} error */
  #end(error) {
    if (this.state === 'closed') return;
    this.error = error;
    this.#abandon(error);
    this.#closing?.();
    if (this.#channel) this.#channel.onclose = this.#channel.onmessage = this.#channel.onbufferedamountlow = null;
    this.#hangUp();
    this.#become('closed');
    if (!this.#requester) return;
    this.#requester.die();
    this.#drain();
  }

  /** @param {State} state */
  #become(state) {
    this.state = state;
    this.events.dispatchEvent(new CustomEvent('state', { detail: state }));
  }
}

/** @param {{head: any, body: Uint8Array<ArrayBuffer>}} output */
function responseOf({ head, body }) {
  const headers = new Headers();
  if (typeof head.type === 'string') headers.set('content-type', head.type);
  if (typeof head.etag === 'string') headers.set('etag', head.etag);
  headers.set('content-length', String(body.length));
  if (head.status === 206) headers.set('content-range', contentRange(head.from, body.length));
  return new Response(NO_BODY.has(head.status) ? null : body, { status: head.status, headers });
}

/** @param {number} from @param {number} length */
function contentRange(from, length) {
  const whole = from + length;
  return length === 0 ? `bytes */${whole}` : `bytes ${from}-${whole - 1}/${whole}`;
}

/** Of headers, what a request's HEAD has members for. @param {Headers} headers */
function carriedOf(headers) {
  const rest = /^bytes=(\d{1,10})-$/.exec(headers.get('range') ?? '');
  return {
    ifNoneMatch: headers.get('if-none-match') ?? undefined,
    ifRange: headers.get('if-range') ?? undefined,
    from: rest ? Number(rest[1]) : undefined,
  };
}

/** @param {BodyInit|null|undefined} body */
async function bytesOf(body) {
  if (body === undefined || body === null) return new Uint8Array(0);
  if (typeof body === 'string') return utf8.encode(body);
  return new Uint8Array(await new Response(body).arrayBuffer());
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal|null|undefined} signal
 * @returns {Promise<T>}
 */
function unlessAborted(promise, signal) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
