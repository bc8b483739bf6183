// The public module: find the devices of this network, and speak REST to one of them over WebRTC.
//
//   import { discover, connect } from 'https://your.server/link.js';
//   const [device] = await discover('https://your.server/');
//   const link = connect({ signal: 'https://your.server/', id: device.id, token });
//   const events = await (await link.fetch('/api/v1/events')).json();
//   link.events.addEventListener('event', ({ detail }) => show(detail.event));
//
// Works on insecure origins too. A link lives once: after `closed`, connect again.
import { LinkError } from './js/link/error.js';
import { Partials } from './js/link/partials.js';
import { Requester, WATERMARK_BYTES } from './js/link/requester.js';
import { dial } from './js/link/rtc.js';
import { Signaling } from './js/link/signaling.js';

export { LinkError, Partials };

/**
 * The devices of this network, by the signaling server's room.
 * @param {string|URL} signal
 * @returns {Promise<{id: string, name: string}[]>}
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
 * @param {{signal: string|URL, id: string, token?: string, partials?: Partials}} options
 * @returns {Link}
 */
export function connect(options) {
  return new Link(options);
}

const NO_BODY = new Set([204, 205, 304]);
const utf8 = new TextEncoder();

/**
 * One link to one device.
 *
 * `state` is `connecting`, `open` or `closed`. `events` tells `state` (detail: the state), and what the device pushes:
 * `event` (detail: {type, event}), `deleted` (detail: {type, id}), `missed` (some were lost: read the list again).
 */
class Link {
  #id;
  #channel = null;
  #hangUp = () => {};
  #mend = () => {};
  #requester = null;
  #waiting = new Map();
  #timer = 0;
  #closing = null;
  #abandon;
  #partials;
  /** What the device pushes, and changes of state. */
  events = new EventTarget();
  /** `connecting`, `open` or `closed`. */
  state = 'connecting';
  /** Why it is closed: a LinkError, or null. */
  error = null;
  /** Resolves when the link is open; rejects with a LinkError when it cannot be had. */
  opened;
  /** Sent with every request; may be set after pairing. */
  token;

  constructor({ signal, id, token, partials = new Partials() }) {
    this.#id = id;
    this.#partials = partials;
    this.token = token;
    const abandoned = new Promise((_, reject) => (this.#abandon = reject));
    abandoned.catch(() => {});
    this.opened = Promise.race([this.#open(signal), abandoned]);
    this.opened.catch((error) => this.#end(error));
  }

  async #open(signal) {
    const signaling = new Signaling(signal);
    this.#closing = () => signaling.close();
    try {
      await signaling.open();
      const iceServers = await signaling.iceServers();
      if (this.state === 'closed') throw this.error;
      const line = await dial(signaling, this.#id, iceServers);
      if (this.state === 'closed') line.hangUp();
      else this.#adopt(line);
    } finally {
      signaling.close();
    }
  }

  #adopt(line) {
    const { channel } = line;
    this.#channel = channel;
    this.#hangUp = () => line.hangUp();
    this.#mend = () => line.mend();
    this.#requester = new Requester(performance.now(), { partials: this.#partials });
    channel.bufferedAmountLowThreshold = WATERMARK_BYTES / 2;
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
   * @param {string} path with its query
   * @param {RequestInit} [init]
   * @returns {Promise<Response>}
   */
  async fetch(path, init = {}) {
    const { method = 'GET', signal = null } = init;
    const body = await bytesOf(init.body);
    const carried = carriedOf(new Headers(init.headers));
    signal?.throwIfAborted();
    await unlessAborted(this.opened, signal);
    if (this.state !== 'open') throw this.error;
    return new Promise((resolve, reject) => {
      const request = { method: method.toUpperCase(), path: String(path), token: this.token, ...carried, body };
      const ticket = this.#requester.request(performance.now(), request);
      const abort = () => {
        this.#settle(ticket);
        this.#requester.cancel(ticket);
        this.#drain();
        reject(signal.reason);
      };
      signal?.addEventListener('abort', abort, { once: true });
      const forget = () => signal?.removeEventListener('abort', abort);
      this.#waiting.set(ticket, { resolve, reject, forget });
      this.#drain();
    });
  }

  /** Ends the link; requests in flight reject. */
  close() {
    this.#end(new LinkError('closed', 'This page closed the link.'));
  }

  #drain() {
    clearTimeout(this.#timer);
    this.#requester.handleBuffered(this.#channel.bufferedAmount);
    for (;;) {
      const output = this.#requester.pollOutput();
      if (output.type === 'timeout') {
        this.#schedule(output.at);
        return;
      }
      this.#act(output);
    }
  }

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

  #transmit(bytes) {
    try {
      this.#channel.send(bytes);
    } catch {
      this.#end(new LinkError('lost', 'The link is gone.'));
    }
  }

  #settle(ticket) {
    const waiting = this.#waiting.get(ticket);
    this.#waiting.delete(ticket);
    waiting?.forget();
    return waiting;
  }

  #schedule(at) {
    if (at === Infinity || this.state !== 'open') return;
    const wait = Math.max(0, at - performance.now());
    this.#timer = setTimeout(() => {
      this.#requester.handleTimeout(performance.now());
      this.#drain();
    }, wait);
  }

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

  #become(state) {
    this.state = state;
    this.events.dispatchEvent(new CustomEvent('state', { detail: state }));
  }
}

function responseOf({ head, body }) {
  const headers = new Headers();
  if (typeof head.type === 'string') headers.set('content-type', head.type);
  if (typeof head.etag === 'string') headers.set('etag', head.etag);
  headers.set('content-length', String(body.length));
  if (head.status === 206) headers.set('content-range', contentRange(head.from, body.length));
  return new Response(NO_BODY.has(head.status) ? null : body, { status: head.status, headers });
}

function contentRange(from, length) {
  const whole = from + length;
  return length === 0 ? `bytes */${whole}` : `bytes ${from}-${whole - 1}/${whole}`;
}

/** Of headers, what a request's HEAD has members for. */
function carriedOf(headers) {
  const rest = /^bytes=(\d{1,10})-$/.exec(headers.get('range') ?? '');
  return {
    ifNoneMatch: headers.get('if-none-match') ?? undefined,
    ifRange: headers.get('if-range') ?? undefined,
    from: rest ? Number(rest[1]) : undefined,
  };
}

async function bytesOf(body) {
  if (body === undefined || body === null) return new Uint8Array(0);
  if (typeof body === 'string') return utf8.encode(body);
  return new Uint8Array(await new Response(body).arrayBuffer());
}

function unlessAborted(promise, signal) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
