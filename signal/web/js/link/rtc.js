// One data channel to one device: offer, answer, trickled candidates. Nothing else makes an RTCPeerConnection.
import { LinkError } from './error.js';
import { uuid } from './signaling.js';

/** The channel's label; the device answers it with our framing. */
export const LABEL = 'nightjar';
/** How long the device may take to answer the offer, ms. */
export const ANSWER_WITHIN_MS = 10_000;
/** How long the channel may take to open once answered, ms. */
export const OPEN_WITHIN_MS = 15_000;
/** Candidates kept until the answer is in; more are dropped. */
export const EARLY_CANDIDATES = 64;

/**
 * Calls the device `id` and resolves with the open channel.
 * @param {import('./signaling.js').Signaling} signaling registered
 * @param {string} id
 * @param {RTCIceServer[]} iceServers
 * @returns {Promise<{channel: RTCDataChannel, hangUp: () => void}>}
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
  #settled = false;
  #resolve;
  #reject;

  constructor(signaling, id, iceServers) {
    this.#signaling = signaling;
    this.#id = id;
    this.#connection = new RTCPeerConnection({ iceServers });
    this.#channel = this.#connection.createDataChannel(LABEL, { ordered: true });
    this.#channel.binaryType = 'arraybuffer';
  }

  open() {
    const connection = this.#connection;
    connection.onicecandidate = ({ candidate }) => candidate?.candidate && this.#send('CANDIDATE', { candidate });
    connection.onconnectionstatechange = () => {
      if (connection.connectionState === 'failed') this.#fail('blocked', 'No path to the device could be found.');
    };
    this.#channel.onopen = () => this.#opened();
    this.#channel.onclose = () => this.#fail('lost', 'The device closed the link.');
    this.#signaling.onmessage = (message) => this.#take(message);
    this.#signaling.onclose = () => this.#fail('signaling', 'The signaling server went away.');
    this.#wait(ANSWER_WITHIN_MS, 'absent', 'The device does not answer.');
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#offer().catch(() => this.#fail('blocked', 'This browser could not make an offer.'));
    });
  }

  async #offer() {
    await this.#connection.setLocalDescription(await this.#connection.createOffer());
    const { type, sdp } = this.#connection.localDescription;
    this.#send('OFFER', { sdp: { type, sdp }, label: LABEL, reliable: true, serialization: 'raw' });
  }

  #send(type, payload) {
    this.#signaling.send(type, this.#id, { ...payload, type: 'data', connectionId: this.#connectionId });
  }

  #take({ type, src, payload }) {
    if (src !== this.#id) return;
    if (type === 'EXPIRE' || type === 'LEAVE') this.#fail('absent', 'The device is not there.');
    if (payload?.connectionId !== this.#connectionId) return;
    if (type === 'ANSWER') this.#answer(payload.sdp);
    if (type === 'CANDIDATE') this.#candidate(payload.candidate);
  }

  async #answer(sdp) {
    if (this.#connection.signalingState !== 'have-local-offer') return;
    this.#wait(OPEN_WITHIN_MS, 'blocked', 'No path to the device opened in time.');
    try {
      await this.#connection.setRemoteDescription(sdp);
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
    this.#connection.onconnectionstatechange = () => {
      if (this.#connection.connectionState === 'failed') this.#connection.close();
    };
    this.#resolve({ channel: this.#channel, hangUp: () => this.#connection.close() });
  }

  #fail(reason, message) {
    if (this.#settled) return;
    this.#settled = true;
    clearTimeout(this.#timer);
    this.#connection.close();
    this.#reject(new LinkError(reason, message));
  }
}
