// One data channel to one device: offer, answer, trickled candidates, and a new path where the old one broke (ICE
// restart). Nothing else makes an RTCPeerConnection.
//
//   dial ──OFFER──ANSWER──► open ──mend, no path: OFFER again, with `restart`──ANSWER──► open
//                             └── hangUp, LEAVE (the device knows nothing of it), the device's own end ──► gone
import { LinkError } from './error.js';
import { uuid } from './signaling.js';

/** The channel's label; the device answers it with our framing. */
export const LABEL = 'nightjar';
/** How long the device may take to answer the offer, ms. */
export const ANSWER_WITHIN_MS = 10_000;
/** An offer that is not answered is sent again so often, ms: it may have gone to a socket that the device has lost. */
export const REPEAT_EVERY_MS = 1000;
/** How long the channel may take to open once answered, ms. */
export const OPEN_WITHIN_MS = 15_000;
/** How long a device may take to answer when it is called for a new path, and the pause before it is called again, ms. */
export const MEND_WITHIN_MS = 5000;
export const MEND_PAUSE_MS = 250;
/** How often it is called in vain while the browser holds the old path for whole. */
export const MEND_TRIES = 8;
/** Candidates kept until the answer is in; more are dropped. */
export const EARLY_CANDIDATES = 64;

const NO_WAY = 'The device is there, but this network blocks direct connections; a relay is needed.';
const NO_RELAY = 'The device is there, but this network blocks direct connections, and the relay was of no use.';

/**
 * An open channel. `mend` looks for another path; `onmended` is called when the device has answered that, `ongone` when
 * the channel ends and nobody else says so.
 * @typedef {{channel: RTCDataChannel, hangUp: () => void, mend: () => void, onmended: () => void, ongone: () => void}} Line
 */

/**
 * Calls the device `id`.
 * @param {import('./signaling.js').Signaling} signaling registered; opened again, with the same id, for a new path
 * @param {string} id
 * @param {RTCIceServer[]} iceServers
 * @returns {Promise<Line>}
 */
export function dial(signaling, id, iceServers) {
  const call = new Call(signaling, id, iceServers);
  return call.open();
}

class Call {
  #signaling;
  #id;
  #connection;
  #channel;
  #connectionId = `nj_${uuid().replaceAll('-', '').slice(0, 16)}`;
  #early = [];
  #timer = 0;
  #repeating = 0;
  #settled = false;
  #resolve;
  #reject;
  #noWay;
  #mending = false;
  #answered = false;
  /** Counts the offers; an answer to an older one is of no use. */
  #offers = 0;
  /** Ends one try for a new path. */
  #next = () => {};
  #line = null;

  constructor(signaling, id, iceServers) {
    this.#signaling = signaling;
    this.#id = id;
    this.#noWay = iceServers.some(({ urls }) => [urls].flat().some((url) => /^turns?:/.test(url))) ? NO_RELAY : NO_WAY;
    this.#connection = new RTCPeerConnection({ iceServers });
    this.#channel = this.#connection.createDataChannel(LABEL, { ordered: true });
    this.#channel.binaryType = 'arraybuffer';
  }

  open() {
    const connection = this.#connection;
    connection.onicecandidate = ({ candidate }) => candidate?.candidate && this.#send('CANDIDATE', { candidate });
    connection.onconnectionstatechange = () => {
      if (connection.connectionState === 'failed') this.#fail('blocked', this.#noWay);
    };
    this.#channel.onopen = () => this.#opened();
    this.#channel.onclose = () => this.#fail('lost', 'The device closed the link.');
    this.#signaling.onmessage = (message) => this.#take(message);
    this.#signaling.onclose = () => this.#fail('signaling', 'The signaling server went away.');
    this.#wait(ANSWER_WITHIN_MS, 'absent', 'The device does not answer.');
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#offer(false).catch(() => this.#fail('blocked', 'This browser could not make an offer.'));
    });
  }

  async #offer(restart) {
    const number = (this.#offers += 1);
    await this.#connection.setLocalDescription(await this.#connection.createOffer({ iceRestart: restart }));
    const say = () => {
      if (this.#connection.signalingState !== 'have-local-offer') return clearInterval(this.#repeating);
      const { type, sdp } = this.#connection.localDescription;
      const offer = { sdp: { type, sdp }, label: LABEL, reliable: true, serialization: 'raw' };
      this.#send('OFFER', { ...offer, restart, try: number });
    };
    say();
    clearInterval(this.#repeating);
    this.#repeating = setInterval(say, REPEAT_EVERY_MS);
  }

  #send(type, payload) {
    this.#signaling.send(type, this.#id, { ...payload, type: 'data', connectionId: this.#connectionId });
  }

  #take({ type, src, payload }) {
    if (src !== this.#id) return;
    if (type === 'EXPIRE') this.#absent();
    if (payload?.connectionId !== this.#connectionId) return;
    if (type === 'LEAVE') this.#left();
    // A box that does not count offers answers none by its number.
    if (type === 'ANSWER' && (payload.try ?? this.#offers) === this.#offers) this.#answer(payload.sdp);
    if (type === 'CANDIDATE') this.#candidate(payload.candidate);
  }

  /** Nobody took what we sent. */
  #absent() {
    this.#fail('absent', 'The device is not there.');
    this.#next();
  }

  /** The device knows nothing of this connection: it began anew. */
  #left() {
    this.#fail('absent', 'The device is not there.');
    this.#gone();
  }

  async #answer(sdp) {
    if (this.#connection.signalingState !== 'have-local-offer') return;
    if (!this.#settled) this.#wait(OPEN_WITHIN_MS, 'blocked', this.#noWay);
    try {
      await this.#connection.setRemoteDescription(sdp);
      this.#answered = true;
      this.#line?.onmended();
    } catch {
      this.#fail('blocked', 'The device answered with something this browser does not understand.');
      return;
    }
    const early = this.#early;
    this.#early = [];
    early.forEach((candidate) => this.#candidate(candidate));
  }

  #candidate(candidate) {
    if (!candidate?.candidate) return;
    if (this.#connection.remoteDescription) {
      this.#connection.addIceCandidate(candidate).catch(() => {}); // one that does not parse is one path less
    } else if (this.#early.length < EARLY_CANDIDATES) {
      this.#early.push(candidate);
    }
  }

  #wait(ms, reason, message) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#fail(reason, message), ms);
  }

  #opened() {
    if (this.#settled) return;
    this.#settled = true;
    clearTimeout(this.#timer);
    this.#signaling.onclose = () => {};
    this.#channel.onclose = null;
    const mend = () => this.#mend();
    this.#connection.onconnectionstatechange = () => {
      if (this.#isWhole()) this.#next();
      else mend();
    };
    // The network that comes back may be another one.
    globalThis.addEventListener?.('online', mend);
    const hangUp = () => {
      globalThis.removeEventListener?.('online', mend);
      this.#connection.close();
      this.#next();
    };
    this.#line = { channel: this.#channel, hangUp, mend, ongone: () => {}, onmended: () => {} };
    this.#resolve(this.#line);
  }

  #isWhole() {
    return this.#connection.connectionState === 'connected';
  }

  #isOver() {
    return this.#connection.connectionState === 'closed';
  }

  #gone() {
    if (!this.#line || this.#isOver()) return;
    this.#line.hangUp();
    this.#line.ongone();
  }

  /** Calls the device for a new path until there is one; whoever watches the channel says when to give up. */
  async #mend() {
    if (this.#mending) return;
    this.#mending = true;
    this.#answered = false;
    let tries = 0;
    do {
      tries += 1;
      const ended = new Promise((resolve) => (this.#next = resolve));
      // The device's time begins with the offer, whatever the way to the meeting point took.
      const pause = await this.#call().then(
        () => MEND_WITHIN_MS,
        () => MEND_PAUSE_MS,
      );
      const timer = setTimeout(this.#next, pause);
      await ended;
      clearTimeout(timer);
    } while (!this.#isOver() && !(this.#isWhole() && (this.#answered || tries >= MEND_TRIES)));
    this.#mending = false;
    this.#signaling.close();
  }

  /** One call for a new path, with what the meeting point offers now. */
  async #call() {
    if (!this.#signaling.registered) await this.#signaling.open();
    if (this.#isOver()) return;
    const iceServers = await this.#signaling.iceServers();
    if (this.#isOver()) return;
    this.#connection.setConfiguration({ iceServers });
    await this.#offer(true);
  }

  #fail(reason, message) {
    if (this.#settled) return;
    this.#settled = true;
    clearTimeout(this.#timer);
    this.#connection.close();
    this.#reject(new LinkError(reason, message));
  }
}
