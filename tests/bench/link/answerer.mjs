// libdatachannel as an answerer of our link's framing: a line of JSON with an offer in, one with the answer out.
//
// It answers GET .../bytes?n=N with N bytes, in chunks of 16 KiB, and holds back while 1 MiB waits in the channel.
import { createInterface } from 'node:readline';
import datachannel from 'node-datachannel';

const [HEAD, MORE, LAST] = [0, 1, 2];
const PIECE = 16_384 - 5;
const WAITING = 1 << 20;

/** One channel and the answers under way on it. */
class Door {
  #channel;
  #paths = new Map();
  #held = [];

  constructor(channel) {
    this.#channel = channel;
    channel.setBufferedAmountLowThreshold(WAITING / 2);
    channel.onBufferedAmountLow(() => this.#held.splice(0).forEach((go) => go()));
    channel.onMessage((message) => this.#hear(message));
  }

  #hear(message) {
    const [ticket, kind] = [message.readUInt32BE(0), message[4]];
    if (kind === HEAD) {
      this.#paths.set(ticket, JSON.parse(message.subarray(5).toString()).path);
    } else if (kind === LAST && this.#paths.has(ticket)) {
      const [, count] = /n=(\d+)/.exec(this.#paths.get(ticket));
      this.#paths.delete(ticket);
      this.#answer(ticket, Number(count));
    }
  }

  async #answer(ticket, length) {
    const chunk = Buffer.alloc(5 + Math.min(length, PIECE));
    this.#send(ticket, HEAD, Buffer.from(`00000${JSON.stringify({ status: 200, type: 'application/octet-stream', length })}`));
    let left = length;
    for (; left > PIECE; left -= PIECE) {
      while (this.#channel.bufferedAmount() > WAITING) await new Promise((go) => this.#held.push(go));
      if (!this.#channel.isOpen()) return;
      this.#send(ticket, MORE, chunk);
    }
    this.#send(ticket, LAST, chunk.subarray(0, 5 + left));
  }

  #send(ticket, kind, chunk) {
    chunk.writeUInt32BE(ticket, 0);
    chunk[4] = kind;
    this.#channel.sendMessageBinary(chunk);
  }
}

/** The answer to an offer, with all its candidates. */
function answer(sdp) {
  before?.close();
  const connection = new datachannel.PeerConnection('bench', { iceServers: [] });
  before = connection;
  connection.onDataChannel((channel) => (door = new Door(channel)));
  const gathered = new Promise((done) => connection.onGatheringStateChange((state) => state === 'complete' && done()));
  connection.setRemoteDescription(sdp, 'offer');
  return gathered.then(() => connection.localDescription().sdp);
}

let before = null;
let door = null; // keeps it from being collected
console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify({ answer: await answer(JSON.parse(line).offer) }));
}
