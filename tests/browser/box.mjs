// The box's socket as image/card.md, "The box's socket", has it, for tests of who asks there: it keeps what it is asked and
// counts a bundle's bytes instead of writing them.

import { createHash } from 'node:crypto';
import { createServer } from 'node:net';
import { atEnd } from './program.mjs';

/** After so many bytes it takes none for PAUSE_MS, as a card does that writes. */
const BURST_BYTES = 2 << 20;
const PAUSE_MS = 20;

/** One box. */
export class Box {
  /** Every line that it was asked, but for its state, and how often for that. */
  asked = [];
  looks = 0;
  /** What it says of itself. */
  state = {
    board: 'qemu-arm64', version: '0.1.0', slot: 'a', trial: false, hostname: 'nightjar',
    update: { state: 'none', version: null, percent: 0, why: null }, wifi: null, trouble: [],
  };
  /** Of the bundle that comes or came: {bytes, sha256, whole}. */
  bundle = null;
  /** Answers a bundle once it is whole. */
  judge = () => ({ ok: { version: '0.2.0' } });

  /** Listens at `path` until the test ends. */
  static async listen(t, path) {
    const box = new Box();
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => {});
      box.#serve(socket).catch((error) => socket.destroy(error));
    });
    await new Promise((done) => server.listen(path, done));
    atEnd(t, () => server.close());
    return box;
  }

  update(state, more = {}) {
    this.state.update = { state, version: null, percent: 0, why: null, ...more };
  }

  async #serve(socket) {
    let line = Buffer.alloc(0);
    let rest = null;
    for await (const some of socket) {
      if (rest) {
        await this.#take(some, rest);
      } else {
        line = Buffer.concat([line, some]);
        const end = line.indexOf('\n');
        if (end < 0) continue;
        const request = JSON.parse(line.subarray(0, end));
        if (request.do !== 'update') return void socket.end(`${JSON.stringify(this.#answer(request))}\n`);
        this.asked.push(request);
        rest = { left: request.bytes, total: request.bytes, burst: 0, hash: createHash('sha256') };
        this.bundle = { bytes: 0, sha256: null, whole: false };
        await this.#take(line.subarray(end + 1), rest);
      }
      if (rest.left > 0) continue;
      this.bundle = { ...this.bundle, whole: true, sha256: rest.hash.digest('hex') };
      const verdict = await this.judge();
      this.update(verdict.ok ? 'staged' : 'none', { version: verdict.ok?.version ?? null });
      return void socket.end(`{"percent":100}\n${JSON.stringify(verdict)}\n`);
    }
    if (rest) this.update('failed', { why: 'the update did not arrive whole' });
    socket.end();
  }

  async #take(some, rest) {
    rest.hash.update(some);
    rest.left -= some.length;
    rest.burst += some.length;
    this.bundle.bytes += some.length;
    this.update('writing', { percent: Math.floor((this.bundle.bytes / rest.total) * 100) });
    if (rest.burst < BURST_BYTES) return;
    rest.burst = 0;
    await new Promise((done) => setTimeout(done, PAUSE_MS));
  }

  #answer(request) {
    if (request.do === 'state') {
      this.looks += 1;
      return { ok: this.state };
    }
    this.asked.push(request);
    if (request.do === 'wifi') this.state.wifi = { ssid: request.ssid, state: 'searching' };
    return { ok: {} };
  }
}
