// The card in QEMU for a test: booted by `nightjar boot` on a tap device of this namespace, its
// serial line kept, its power cut.

import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readFileSync, readSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { atEnd, eventually, nightjar, scratch } from '../browser/program.mjs';

const TOP = resolve(import.meta.dirname, '../..');
const TARGET = resolve(TOP, process.env.CARGO_TARGET_DIR ?? 'target');
/** The host tool. */
export const NIGHTJAR = join(TARGET, 'release/nightjar');
/** What tests/image/run has built. */
export const BUILT = join(TARGET, 'card/test');
/** Serial lines, for the one who reads a failed test; ignored by git. */
const LOGS = join(TARGET, 'card/log');
const TAP = 'tap0';
/** The only address that the network gives away. */
export const GUEST = '10.78.0.10';

/** A network of one: this machine and, on a tap device, the card, which gets its address by DHCP. */
export function network(t) {
  const run = (command, ...args) => {
    const done = spawnSync(command, args, { encoding: 'utf8' });
    if (done.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${done.stderr}${done.error ?? ''}`);
  };
  spawnSync('ip', ['link', 'delete', TAP]); // an earlier test's
  run('ip', 'tuntap', 'add', 'dev', TAP, 'mode', 'tap');
  run('ip', 'address', 'add', '10.78.0.1/24', 'dev', TAP);
  run('ip', 'link', 'set', TAP, 'up');
  const folder = scratch(t);
  writeFileSync(`${folder}/leases`, '');
  writeFileSync(`${folder}/conf`, [
    `start ${GUEST}`, `end ${GUEST}`, `interface ${TAP}`, 'option subnet 255.255.255.0', 'option router 10.78.0.1',
    'option lease 3600', `lease_file ${folder}/leases`, `pidfile ${folder}/pid`, '',
  ].join('\n'));
  const server = spawn('busybox', ['udhcpd', '-f', `${folder}/conf`], { stdio: 'ignore' });
  atEnd(t, () => server.kill());
}

/** A card in its machine. */
export class Card {
  #child;
  #log;
  #words;
  constructor(image, name, words = []) {
    mkdirSync(LOGS, { recursive: true });
    this.image = image;
    this.#log = join(LOGS, `${name}.log`);
    this.#words = words;
    writeFileSync(this.#log, '');
  }

  /** Power on. */
  start() {
    const log = openSync(this.#log, 'a');
    const append = this.#words.flatMap((word) => ['--append', word]);
    // A process group of its own, so that the power takes the machine with it.
    this.#child = spawn(NIGHTJAR, ['boot', this.image, '--tap', TAP, ...append], { stdio: ['ignore', log, log], detached: true });
  }

  /** Power off, at once. */
  async cut() {
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== null || signalCode !== null) return; // it is off: nothing more will end
    const ended = new Promise((done) => this.#child.once('exit', done));
    process.kill(-this.#child.pid, 'SIGKILL');
    await ended;
  }

  /** All that its serial line and its firmware have said so far. */
  get said() {
    return readFileSync(this.#log, 'utf8');
  }

  /** Waits until `sign` stands in the log `times` times. */
  async says(sign, times = 1, ms = 180_000) {
    await eventually(`the card to say ${sign} (${times})`, () => this.said.split(sign).length > times, ms);
  }

  /** Waits until its page answers; milliseconds since this was called. */
  async answers(ms = 180_000) {
    const begin = Date.now();
    await eventually('the card to answer', async () => {
      const answer = await fetch(`http://${GUEST}/healthz`, { signal: AbortSignal.timeout(1_000) }).catch(() => null);
      return answer?.ok;
    }, ms);
    return Date.now() - begin;
  }
}

/** Runs `nightjar update` with what `build` made under this name. */
export const updater = (home) => (name) =>
  nightjar(['update', join(BUILT, `${name}.nightjar`), '--signal', `http://${GUEST}`], { XDG_CONFIG_HOME: home });

/** A digest of what slot A boots from, partitions 2 and 5, by the card's own tables. */
export function digest(image) {
  const file = openSync(image, 'r');
  const bytes = (at, count) => {
    const buffer = Buffer.alloc(count);
    readSync(file, buffer, 0, count, at);
    return buffer;
  };
  const entry = (sector, nr) => {
    const [start, sectors] = [8, 12].map((it) => bytes(sector * 512, 512).readUInt32LE(446 + 16 * nr + it));
    return { start, sectors };
  };
  const extended = entry(0, 3).start;
  const root = entry(extended, 0);
  const hash = createHash('sha256');
  for (const { start, sectors } of [entry(0, 1), { ...root, start: root.start + extended }]) {
    hash.update(bytes(start * 512, sectors * 512));
  }
  closeSync(file);
  return hash.digest('hex');
}

/** A card of its own for a test, from an image that was built before. */
export function card(t, name, words) {
  const image = join(scratch(t), `${name}.img`);
  const copied = spawnSync('cp', ['--sparse=always', join(BUILT, 'card.img'), image], { encoding: 'utf8' });
  if (copied.status !== 0) throw new Error(copied.stderr);
  const made = new Card(image, name, words);
  atEnd(t, () => made.cut().catch(() => {}));
  return made;
}
