// One remembered device: its link kept alive, begun anew after sleep, and its state in a word.
//
//   connecting ──► connected ──lost──► connecting
//       │ no server: offline    no answer: away    no path: blocked    token refused: unpaired
//       └──── after a growing pause, or at once on wake ────┘
import { LinkError, Partials, connect } from '../link.js';

/** The first pause before trying again, ms; it doubles up to the longest. */
export const FIRST_PAUSE_MS = 1000;
export const LONGEST_PAUSE_MS = 30_000;
/** The longest while somebody looks at the page, ms. */
export const WATCHED_PAUSE_MS = 1500;
/** A link that lived so long is begun anew at once when it ends; a shorter one after the pause, ms. */
export const STEADY_MS = 2000;
/** The pause after a refused token, ms: it will hardly be taken later. */
export const REFUSED_PAUSE_MS = 600_000;
/** How long one request of the page may take, ms. */
export const REQUEST_WITHIN_MS = 20_000;
/** How long a device may take to greet on an open link, ms. */
export const GREET_WITHIN_MS = 8000;

const STATES = { signaling: 'offline', absent: 'away', lost: 'away', blocked: 'blocked' };

/** The device refused a request; `code` is its own word for why. */
export class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Reads a JSON answer, or throws the Refusal it carries. */
export async function readAnswer(response) {
  if (response.status === 204) return null;
  const body = await response.json().catch(() => null);
  if (response.ok) return body;
  const { code = 'unknown', message = `The device answered ${response.status}.` } = body?.error ?? {};
  throw new Refusal(response.status, code, message);
}

/** The pause before attempt `attempt` (from 0), ms; `random` is 0..1, `watched` whether somebody looks. */
export function pause(attempt, random, watched = false) {
  const longest = Math.min(watched ? WATCHED_PAUSE_MS : LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt);
  return longest * (0.5 + random / 2);
}

/** Tells `state` when it or its status changed, and `push` (detail: the device's message). */
export class Device extends EventTarget {
  #signal;
  #link = null;
  #partials = new Partials();
  #stopped = false;
  #wake = () => {};
  #hurry = false;
  /** What was asked behind the greeting: {path, answer}. */
  #asked = null;
  /** Names the path that is asked for right behind the greeting, or null: its first `fetch` need not wait for a round trip. */
  ahead = () => null;
  /** connecting, connected, offline, away, blocked or unpaired. */
  state = 'connecting';
  /** The device's last status, or null. */
  status = null;

  /** @param {{id: string, name: string, token: string}} record @param {string} signal */
  constructor(record, signal) {
    super();
    this.record = record;
    this.#signal = signal;
  }

  get id() {
    return this.record.id;
  }

  get name() {
    return this.record.name || 'Camera';
  }

  get connected() {
    return this.state === 'connected';
  }

  /** Keeps the link until `stop`. */
  async run() {
    let attempt = 0;
    while (!this.#stopped) {
      const next = await this.#live();
      if (this.#stopped) return;
      this.#become(this.#hurry || next === 'steady' || next === 'brief' ? 'connecting' : next);
      if (next === 'steady') {
        attempt = 0;
      } else if (!this.#hurry) {
        await this.#sleep(next === 'unpaired' ? REFUSED_PAUSE_MS : pause(attempt, Math.random(), !document.hidden));
        attempt += 1;
      }
      if (!this.#hurry) continue;
      this.#hurry = false;
      attempt = 0;
      this.#become('connecting');
    }
  }

  /** One link, from its start to its end; the state that follows, or how it lived: `steady` or `brief`. */
  async #live() {
    const link = connect({ signal: this.#signal, id: this.id, token: this.record.token, partials: this.#partials });
    this.#link = link;
    const ended = new Promise((resolve) => {
      link.events.addEventListener('state', () => link.state === 'closed' && resolve());
    });
    for (const type of ['event', 'deleted', 'missed']) {
      link.events.addEventListener(type, ({ detail }) => this.#push(detail));
    }
    try {
      await link.opened;
      const greeted = this.#greet(link);
      this.#askAhead(link);
      await greeted;
    } catch (error) {
      link.close();
      if (error instanceof Refusal && error.status === 401) return 'unpaired';
      return STATES[error.reason] ?? 'away';
    }
    const since = performance.now();
    this.#become('connected');
    await ended;
    return performance.now() - since >= STEADY_MS ? 'steady' : 'brief';
  }

  async #greet(link) {
    const response = await link.fetch('/api/v1/status', { signal: AbortSignal.timeout(GREET_WITHIN_MS) });
    this.#know(await readAnswer(response));
  }

  #askAhead(link) {
    const path = this.ahead();
    const answer = path && link.fetch(path, { signal: AbortSignal.timeout(REQUEST_WITHIN_MS) });
    answer?.catch(() => {}); // told to who fetches it
    this.#asked = path && { path, answer };
  }

  #know(status) {
    this.status = status;
    if (status.name) this.record.name = status.name;
  }

  #push(message) {
    this.dispatchEvent(new CustomEvent('push', { detail: message }));
  }

  #become(state) {
    this.state = state;
    this.dispatchEvent(new CustomEvent('state', { detail: state }));
  }

  #sleep(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Tries again now instead of after the pause. */
  wake() {
    if (this.state !== 'connected' && this.state !== 'connecting') this.#hurry = true;
    this.#wake();
  }

  /** The network is another one: a link finds its new path by itself, a call under way is begun anew. */
  roam() {
    if (!this.connected) this.resume();
  }

  /** After sleep: whatever link there was is dead; begin anew. */
  resume() {
    this.#hurry = true;
    this.#link?.close();
    this.#wake();
  }

  /** Ends it for good. */
  stop() {
    this.#stopped = true;
    this.state = 'away';
    this.#link?.close();
    this.#wake();
  }

  /** As window.fetch, for a path of the device; rejects at once while it is not connected. */
  fetch(path, init = {}) {
    if (!this.connected) return Promise.reject(new LinkError('lost', 'The device is not connected.'));
    const asked = this.#asked;
    if (path === asked?.path && !init.method) {
      this.#asked = null;
      return asked.answer;
    }
    return this.#link.fetch(path, { signal: AbortSignal.timeout(REQUEST_WITHIN_MS), ...init });
  }

  /** The JSON of a path; throws a Refusal where the device refuses. */
  async json(path, init) {
    return readAnswer(await this.fetch(path, init));
  }

  /** Sends a JSON body. */
  send(method, path, body) {
    return this.json(path, { method, body: body === undefined ? undefined : JSON.stringify(body) });
  }

  /** Reads the status again. */
  async refresh() {
    this.#know(await this.json('/api/v1/status'));
    this.dispatchEvent(new CustomEvent('state', { detail: this.state }));
  }
}
