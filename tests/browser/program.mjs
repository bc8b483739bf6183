// The shipped programs as children of a test: started, read until ready, stopped.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const TOP = resolve(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '../..');
const FOLDER = join(resolve(TOP, process.env.CARGO_TARGET_DIR ?? 'target'), 'release');
const READY_WITHIN_MS = 30_000;
const END_WITHIN_MS = 8_000;

/** One running program. */
export class Program {
  #child;
  #ended;
  #ready;
  #said = '';

  /**
   * Starts `name`, one of ours or the path of another's, and waits for the line that says it is ready. `enter` are
   * words before the command, as a lab's hosts have them.
   */
  static async start(name, args, { enter = [], ready = 'ready ' } = {}) {
    const program = new Program([...enter, resolve(FOLDER, name), ...args]);
    await program.#waitReady(name, ready);
    return program;
  }

  constructor([command, ...args]) {
    this.#child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child.stderr.on('data', (text) => { this.#said = (this.#said + text).slice(-20_000); });
    this.#ended = new Promise((done) => {
      this.#child.on('error', (error) => { this.#said += error.message; done(-1); });
      this.#child.on('close', (code, signal) => done(code ?? signal));
    });
  }

  async #waitReady(name, sign) {
    const lines = createInterface({ input: this.#child.stdout });
    const ready = new Promise((done) => {
      lines.on('line', (line) => { if (line.includes(sign)) done(line); });
    });
    const ended = this.#ended.then((code) => { throw new Error(`${name} ended (${code}): ${this.#said}`); });
    this.#ready = await within(READY_WITHIN_MS, `${name} to be ready: ${this.#said}`, Promise.race([ready, ended]));
    ended.catch(() => {});
  }

  /** The value of `key=` in the ready line. */
  address(key = 'http') {
    const word = this.#ready.split(' ').find((it) => it.startsWith(`${key}=`));
    if (!word) throw new Error(`no ${key}= in ${this.#ready}`);
    return word.slice(key.length + 1);
  }

  /** The port in that address. */
  port(key = 'http') {
    return Number(this.address(key).split(':').pop());
  }

  /** The process id. */
  get pid() {
    return this.#child.pid;
  }

  /** What it wrote to standard error. */
  get said() {
    return this.#said;
  }

  /** SIGTERM; resolves to the exit code. */
  async stop() {
    this.#child.kill('SIGTERM');
    try {
      return await within(END_WITHIN_MS, 'a program to end', this.#ended);
    } finally {
      this.kill();
    }
  }

  /** SIGKILL. */
  kill() {
    this.#child.kill('SIGKILL');
  }
}

/** Runs the host tool to its end; how it ended, and all that it said. */
export async function nightjar(args, env = {}) {
  const child = spawn(join(FOLDER, 'nightjar'), args, { env: { ...process.env, ...env } });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (some) => { said += some; });
  const [code] = await once(child, 'close');
  return { code, said };
}

/** A promise with a limit that names what was waited for. */
export function within(ms, what, promise) {
  let timer;
  const limit = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`waited ${ms} ms for ${what}`)), ms);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

/** Asks again until `ask` gives something true. */
export async function eventually(what, ask, ms = 30_000) {
  const end = Date.now() + ms;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`waited ${ms} ms for ${what}`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

const endings = new WeakMap();

/** Runs `end` when the test ends: the last one first, and all of them whatever happens to one. */
export function atEnd(t, end) {
  if (endings.has(t)) {
    endings.get(t).push(end);
    return;
  }
  const ends = [end];
  endings.set(t, ends);
  t.after(async () => {
    for (const each of ends.reverse()) {
      await Promise.resolve().then(each).catch((error) => console.error(`while ending: ${error.stack}`));
    }
  });
}

/** A folder that goes when the test ends. */
export function scratch(t) {
  const folder = mkdtempSync(join(tmpdir(), 'nightjar-browser-'));
  atEnd(t, () => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));
  return folder;
}

/** A signaling server for one home; `listen` names a port to come back to. */
export async function startSignal(t, listen = '127.0.0.1:0') {
  const signal = await Program.start('nightjar-signal', ['--listen', listen, '--home']);
  atEnd(t, () => signal.kill());
  return signal;
}

/** An edge that registers at `signal`; `program` names another build of it. */
export async function startEdge(t, { signal, data, camera = 'demo:', args = [], program = 'nightjar-edge' }) {
  const edge = await Program.start(program, [
    '--data-dir', data, '--camera', camera, '--signal', `http://127.0.0.1:${signal.port()}/`,
    '--http', '127.0.0.1:0', '--name', 'Front door', ...args,
  ]);
  atEnd(t, () => edge.kill());
  return edge;
}

/** The owner's own REST on loopback, a POST where there is a body: parsed JSON. */
export async function ask(edge, path, body) {
  const init = body && { method: 'POST', body: JSON.stringify(body) };
  const answer = await fetch(`http://${edge.address()}${path}`, init);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}
