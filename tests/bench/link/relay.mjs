// The relay between a page and an answerer: a process of the bench, and the SDP that leads both into it.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { within } from '../../browser/program.mjs';

/** The page's address in tests/namespace. */
const HERE = '10.77.0.1';

/** A path with a delay and losses, other ones for another seed; `near` is where the page sends to, `far` where the answerer does. */
export class Relay {
  static async start(bench, oneWayMs, lossPercent, seed) {
    const child = spawn(bench, ['--relay', HERE, `${oneWayMs}`, `${lossPercent}`, `${seed}`], { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: child.stdout });
    const ports = await within(10_000, 'the relay', new Promise((done) => lines.once('line', done)));
    const [near, far] = ports.split(' ').map((port) => `${HERE} ${port}`);
    return new Relay(child, near, far);
  }

  constructor(child, near, far) {
    Object.assign(this, { child, near, far });
  }

  /** Names the answerer's address. */
  lead(address) {
    this.child.stdin.write(`${address}\n`);
  }

  stop() {
    this.child.kill('SIGKILL');
  }
}

/** A session description whose only candidate is that address and port. */
export function withCandidate(sdp, place) {
  const others = sdp.split('\r\n').filter((line) => !/^a=(candidate:|end-of-candidates)/.test(line) && line !== '');
  return [...others, `a=candidate:1 1 udp 2130706431 ${place} typ host`, ''].join('\r\n');
}

/** The first IPv4 address and port among a description's candidates, as `ADDRESS:PORT`. */
export function firstAddress(sdp) {
  const [, address, port] = /^a=candidate:\S+ 1 udp \d+ (\d+\.\d+\.\d+\.\d+) (\d+) typ host/im.exec(sdp);
  return `${address}:${port}`;
}
