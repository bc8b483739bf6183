// The signaling server as a phone sees it: addresses, the socket, the room's routes. Nothing else opens a WebSocket.
import { LinkError } from './error.js';

/** How long the socket may take until the server says OPEN, ms. */
export const OPEN_WITHIN_MS = 8000;
/** How often a living client says so, ms. */
export const HEARTBEAT_MS = 5000;
/** How long a route may take, ms. */
export const ROUTE_WITHIN_MS = 8000;

/**
 * Reads a signaling address: http(s):// or ws(s):// HOST[:PORT]{path}[?key=peerjs].
 * @param {string|URL} signal
 * @returns {{http: string, socket: string, key: string}} both end in the path's slash
 */
export function address(signal) {
  const url = new URL(signal);
  const secure = { 'https:': true, 'wss:': true, 'http:': false, 'ws:': false }[url.protocol];
  if (secure === undefined) throw new TypeError(`${url.protocol} is no signaling address`);
  const path = url.pathname.endsWith('/') ? url.pathname : `${url.pathname}/`;
  const rest = `${url.host}${path}`;
  return {
    http: `${secure ? 'https' : 'http'}://${rest}`,
    socket: `${secure ? 'wss' : 'ws'}://${rest}`,
    key: url.searchParams.get('key') || 'peerjs',
  };
}

/** The socket's address for one client. `version` makes the server tell us about absent peers (EXPIRE). */
export function socketUrl({ socket, key }, { id, token }) {
  const query = new URLSearchParams({ key, id, token, version: 'nightjar' });
  return `${socket}peerjs?${query}`;
}

/** The address of a room's route: `id`, or `{roomId}/join`, `{roomId}/devices`, `{roomId}/leave`. */
export function roomUrl({ http, key }, { id, token }, route) {
  return `${http}${encodeURIComponent(key)}/${id}/${token}/room/${route}`;
}

/** A random version 4 UUID, also where there is no crypto.randomUUID. */
export function uuid(random = crypto.getRandomValues(new Uint8Array(16))) {
  const bytes = random.slice();
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** One registered client. */
export class Signaling {
  #address;
  #socket = null;
  #heartbeat = 0;
  #me = { id: uuid(), token: uuid().replaceAll('-', '') };
  /** Called with each message that names a sender: {type, src, payload}. */
  onmessage = () => {};
  /** Called once when the socket is gone, whoever closed it. */
  onclose = () => {};

  /** @param {string|URL} signal */
  constructor(signal) {
    this.#address = address(signal);
  }

  /** Whether messages to peers can be sent. */
  get registered() {
    return this.#socket?.readyState === WebSocket.OPEN && this.#heartbeat !== 0;
  }

  /** Registers, after `close` under the same id again; rejects with reason `signaling` when the server does not take us in time. */
  open() {
    return new Promise((resolve, reject) => {
      const refuse = (why) => {
        clearTimeout(timer);
        this.#closeIf(socket);
        reject(new LinkError('signaling', why));
      };
      const socket = new WebSocket(socketUrl(this.#address, this.#me));
      const timer = setTimeout(() => refuse('The signaling server did not answer in time.'), OPEN_WITHIN_MS);
      this.#socket = socket;
      socket.onclose = () => refuse('The signaling server cannot be reached.');
      socket.onmessage = ({ data }) => {
        const message = read(data);
        if (message?.type === 'OPEN') {
          clearTimeout(timer);
          this.#opened(socket);
          resolve(this);
        } else if (message?.type === 'ERROR' || message?.type === 'ID-TAKEN') {
          refuse('The signaling server refused this page.');
        }
      };
    });
  }

  #opened(socket) {
    this.#heartbeat = setInterval(() => socket.send('{"type":"HEARTBEAT"}'), HEARTBEAT_MS);
    socket.onmessage = ({ data }) => {
      const message = read(data);
      if (message && typeof message.src === 'string') this.onmessage(message);
    };
    socket.onclose = () => this.#closeIf(socket);
  }

  /** Closes where `socket` is still the one in use: of an older one the end is heard late. */
  #closeIf(socket) {
    if (this.#socket === socket) this.close();
  }

  /** Sends one message to the peer `dst`. */
  send(type, dst, payload) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ type, dst, payload }));
  }

  /** The edges of this network's room, [{id, name}], oldest member first. */
  async devices() {
    const { roomId } = await this.#route('id');
    const devices = await this.#route(`${encodeURIComponent(roomId)}/devices`);
    if (!Array.isArray(devices)) throw new LinkError('signaling', 'The signaling server knows no rooms.');
    return devices
      .filter((device) => typeof device?.id === 'string')
      .map(({ id, name }) => ({ id, name: typeof name === 'string' ? name : '' }));
  }

  /** The ICE servers this signaling server names; none where it names none. */
  async iceServers() {
    try {
      const { iceServers } = await getJson(`${this.#address.http}ice`);
      return Array.isArray(iceServers) ? iceServers : [];
    } catch {
      return [];
    }
  }

  #route(route) {
    return getJson(roomUrl(this.#address, this.#me, route));
  }

  /** Leaves; calling it twice does no harm. */
  close() {
    clearInterval(this.#heartbeat);
    this.#heartbeat = 0;
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = null;
    if (socket.readyState < WebSocket.CLOSING) socket.close();
    this.onclose();
  }
}

async function getJson(url) {
  try {
    const signal = AbortSignal.timeout(ROUTE_WITHIN_MS);
    const response = await fetch(url, { signal, cache: 'no-store', credentials: 'omit' });
    if (response.ok) return await response.json();
    throw new LinkError('signaling', `The signaling server answered ${response.status}.`);
  } catch (error) {
    if (error instanceof LinkError) throw error;
    throw new LinkError('signaling', 'The signaling server cannot be reached.');
  }
}

function read(data) {
  try {
    const message = JSON.parse(data);
    return message && typeof message === 'object' ? message : null;
  } catch {
    return null;
  }
}
