// Has one Chromium page talk to each answerer in turn and says what it cost: `sample ROUND MEASURE ANSWERER VALUE`.
//
//   tests/namespace node tests/bench/link/drive.mjs '{"rounds": 15, ...}'    (see main.rs, which starts it)

import { spawn } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { launch } from '../../browser/chromium.mjs';
import { eventually, scratch, startEdge, startSignal, within } from '../../browser/program.mjs';
import { serve } from '../../browser/static.mjs';
import { timelines } from './timeline.mjs';
import { Relay, firstAddress, withCandidate } from './relay.mjs';

const wish = JSON.parse(process.argv[2]);
const MIB = 1 << 20;
const LARGE = '/api/v1/test/bytes?n=10485760';
const SMALL = '/api/v1/test/bytes?n=200';

const sample = (round, measure, kind, value) => console.log(`sample ${round} ${measure} ${kind} ${value}`);

/** Seconds on a CPU so far, of all threads of a process. */
function cpu(pid) {
  const spent = (task) => {
    try {
      return Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
    } catch {
      return 0; // a thread that has just ended
    }
  };
  return readdirSync(`/proc/${pid}/task`).reduce((sum, task) => sum + spent(task), 0) / 1e9;
}

/** The same with the threads that have ended, in steps of 10 ms. */
function cpuOfAll(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Its resident memory, MiB. */
const resident = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;

const share = (values, part) => values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))];

/** Another's answerer: a process that reads offers and writes answers, a line each. */
class Peer {
  static async start(t, [command, ...args]) {
    const peer = new Peer(spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] }));
    t.after(() => peer.stop());
    await peer.next('to be ready');
    return peer;
  }

  constructor(child) {
    this.child = child;
    this.pid = child.pid;
    this.lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    this.small = SMALL;
  }

  async next(what) {
    const { value, done } = await within(30_000, `an answerer ${what}`, this.lines.next());
    if (done) throw new Error('the answerer ended');
    return value;
  }

  async answer(_, offer) {
    this.child.stdin.write(`${JSON.stringify({ offer })}\n`);
    return JSON.parse(await this.next('to answer')).answer;
  }

  stop() {
    this.child.kill('SIGKILL');
  }
}

/** The edge with its test routes, reached through nightjar-signal. */
class Edge {
  static async start(t, signal, page) {
    const edge = new Edge();
    edge.signal = `http://127.0.0.1:${signal.port()}/`;
    edge.program = await startEdge(t, { signal, data: scratch(t), camera: 'replay:/nowhere', program: 'nightjar-edge-faults' });
    edge.pid = edge.program.pid;
    edge.id = await eventually('the edge to be registered', () =>
      page.evaluate((at) => window.bench.device(at), edge.signal));
    edge.small = '/api/v1/status';
    return edge;
  }

  answer(page, offer) {
    return page.evaluate((...words) => window.bench.call(...words), this.signal, this.id, offer);
  }

  stop() {
    this.program.kill();
  }
}

/** One answerer with one page, through one round. */
class Bout {
  constructor(page, answerer, note, number) {
    Object.assign(this, { page, answerer, note, number, token: undefined });
  }

  bench(name, ...words) {
    return this.page.evaluate((what, args) => window.bench[what](...args), name, words);
  }

  /** Opens a session, through a relay where there is one; the ms from the answer to the open channel. */
  async open(relay = null) {
    const ms = await this.#reach(relay);
    if (this.answerer instanceof Edge) this.token ??= await this.bench('pair');
    return ms;
  }

  async #reach(relay) {
    const offer = await this.bench('offer');
    if (!relay) return this.bench('answer', await this.answerer.answer(this.page, offer));
    const answer = await this.answerer.answer(this.page, withCandidate(offer, relay.far));
    relay.lead(firstAddress(answer));
    return this.bench('answer', withCandidate(answer, relay.near));
  }

  /** CPU seconds of the answerer while `work` is done, and what that gave. */
  async costOf(work, clock = cpu) {
    const before = clock(this.answerer.pid);
    const gave = await work();
    return [clock(this.answerer.pid) - before, gave];
  }

  async loopback() {
    const before = resident(this.answerer.pid);
    this.note('open', await this.open());
    await this.bench('sequence', 100, SMALL, this.token);
    const [requests, delays] = await this.costOf(() => this.bench('sequence', wish.requests, SMALL, this.token));
    this.note('request-cpu', (requests / wish.requests) * 1e6);
    this.note('request-p50', share(delays, 0.5));
    this.note('request-p99', share(delays, 0.99));
    await this.bench('sequence', 16, '/api/v1/test/bytes?n=65536', this.token);
    this.note('memory', resident(this.answerer.pid) - before);

    const [bulk, times] = await this.costOf(() => this.bench('sequence', wish.bulk, LARGE, this.token));
    this.note('bulk-cpu', (bulk / (wish.bulk * 10 * MIB)) * 1e8);
    this.note('bulk-rate', (wish.bulk * 10 * MIB) / 1e3 / times.reduce((sum, ms) => sum + ms, 0));
    const beside = await this.bench('beside', LARGE, this.answerer.small, this.token);
    this.note('beside-p99', share(beside, 0.99));
  }

  /** Sessions that open and close. */
  async offers() {
    await this.open(); // the first one pairs
    const cycle = async () => {
      for (let number = 0; number < wish.offers; number += 1) await this.open();
      await this.bench('close');
    };
    const [spent] = await this.costOf(cycle, cpuOfAll);
    this.note('offer-cpu', (spent / wish.offers) * 1e3);
  }

  /** In each round the losses are others, and the same ones for every answerer. */
  async path(name, oneWayMs, lossPercent, seconds) {
    const relay = await Relay.start(wish.bench, oneWayMs, lossPercent, this.number);
    try {
      await this.open(relay);
      const [spent, bytes] = await this.costOf(() => this.bench('flow', seconds * 1e3, LARGE, 4, this.token));
      this.note(`${name}-rate`, bytes / 1e6 / seconds);
      this.note(`${name}-cpu`, (spent / bytes) * 1e8);
    } finally {
      await this.bench('close');
      relay.stop();
    }
  }
}

/** What a test has: things to be done at its end. */
class Ends {
  #ends = [];

  after(end) {
    this.#ends.push(end);
  }

  async come() {
    for (const end of this.#ends.splice(0).reverse()) await end();
  }
}

/** A page of its own origin with the link's own wire and signaling. */
async function blank(t) {
  const script = (path) => ({ type: 'text/javascript', body: readFileSync(new URL(path, import.meta.url)) });
  const web = '../../../signal/web/js/link/';
  const origin = await serve(t, {
    '/': { type: 'text/html', body: '<!doctype html><title>bench</title><script type="module" src="/page.js"></script>' },
    '/page.js': script('page.js'),
    ...Object.fromEntries(['wire.js', 'signaling.js', 'error.js'].map((name) => [`/${name}`, script(web + name)])),
  });
  const browser = await launch(t, ['--disable-features=WebRtcHideLocalIpsWithMdns']);
  const page = await browser.newPage();
  await page.goto(`${origin}/`);
  await page.waitForFunction('window.bench');
  return { browser, page };
}

async function round(number, kind, page, signal) {
  const t = new Ends();
  const note = (measure, value) => sample(number, measure, kind, value);
  try {
    const answerer = kind === 'edge' ? await Edge.start(t, signal, page) : await Peer.start(t, wish.peers[kind]);
    const bout = new Bout(page, answerer, note, number);
    const parts = {
      loopback: () => bout.loopback(),
      offers: () => bout.offers(),
      path50: () => bout.path('path50', 25, 0, wish.seconds),
      path100: () => bout.path('path100', 50, 0, wish.seconds),
      lossy100: () => bout.path('lossy100', 50, 1, wish.seconds),
    };
    for (const [name, part] of Object.entries(parts)) if (wish.parts.includes(name)) await part();
    await bout.bench('close');
  } catch (error) {
    console.log(`broke in round ${number} with ${kind}: ${error.message}`);
  } finally {
    await t.come();
  }
}

const all = new Ends();
try {
  const signal = await startSignal(all);
  const { browser, page } = await blank(all);
  const kinds = ['edge', ...Object.keys(wish.peers)];
  for (let number = 0; number < wish.rounds; number += 1) {
    const turn = number % kinds.length;
    for (const kind of [...kinds.slice(turn), ...kinds.slice(0, turn)]) await round(number, kind, page, signal);
    console.error(`round ${number + 1} of ${wish.rounds}`);
  }
  if (wish.parts.includes('timeline')) await timelines(all, { browser, wish, sample });
} finally {
  await all.come();
}
