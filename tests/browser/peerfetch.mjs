// A clean-room PeerFetch client, run in a page beside an unmodified PeerJS.
//
// One request is outstanding at a time and answers are told apart by order alone: any number
// of {"status":202}, one header, and unless it is a 204, one message with the whole body.

const ANSWER_WITHIN_MS = 20_000;

/** Resolves when PeerJS's `emitter` fires `name`, rejects on its `error`. */
const fired = (emitter, name) => new Promise((done, fail) => {
  emitter.on(name, done);
  emitter.on('error', (error) => fail(new Error(`${error.type}: ${error.message ?? error}`)));
});

/** Registers at the signaling server as anybody would; `name` asks for an id instead of a new one. */
export async function register(Peer, { host, port, token, name }) {
  const peer = new Peer(name, {
    host, port, path: '/', key: 'peerjs', secure: false, token, config: { iceServers: [] },
  });
  const id = await fired(peer, 'open');
  return { peer, id };
}

/** Walks the room routes until somebody else is there; resolves to the ids of the others. */
export async function othersInRoom({ host, port, token, id }) {
  const base = `http://${host}:${port}/peerjs/${id}/${token}/room`;
  const { roomId } = await (await fetch(`${base}/id`)).json();
  const joined = await (await fetch(`${base}/${roomId}/join`, { method: 'POST' })).json();
  if (!joined.clientsIds.includes(id)) throw new Error('join does not list the one who joined');
  for (;;) {
    const members = await (await fetch(`${base}/${roomId}/members`)).json();
    const others = members.filter((it) => it !== id);
    if (others.length > 0) return { roomId, others };
    await new Promise((done) => setTimeout(done, 200));
  }
}

/** Opens the channel that PeerFetch speaks on. */
export async function connect(peer, id) {
  const connection = peer.connect(id, { label: 'http-proxy', reliable: true, serialization: 'raw' });
  await fired(connection, 'open');
  return new PeerFetch(connection);
}

/** One connection's requests, strictly one after another. */
class PeerFetch {
  #connection;
  #waiting = null;
  #last = Promise.resolve();
  /** Messages that came while nothing was asked. */
  strays = [];

  constructor(connection) {
    this.#connection = connection;
    connection.on('data', (data) => this.#take(data));
    connection.on('close', () => this.#waiting?.fail(new Error('the box ended the link')));
  }

  /** Ends the link. */
  close() {
    this.#connection.close();
  }

  /** Whether the channel underneath keeps order. */
  get ordered() {
    return this.#connection.dataChannel.ordered;
  }

  /** As `say`, for a path. */
  request(method, path) {
    // Everything is an absolute URL, but the ping: that one is recognised by how it begins.
    const url = path.startsWith('ping') ? path : `http://localhost:8778/${path}`;
    return this.say(JSON.stringify({ url, method }));
  }

  /**
   * Says anything in its turn. Resolves to what it got for it: {status, type, length, body: ArrayBuffer or string or
   * null, ms, working: [ms of each 202]}.
   */
  say(message) {
    const answer = this.#last.then(() => this.#send(message));
    this.#last = answer.catch(() => {});
    return answer;
  }

  #send(message) {
    return new Promise((done, fail) => {
      const timer = setTimeout(() => fail(new Error(`${message}: no answer`)), ANSWER_WITHIN_MS);
      const end = (settle) => (value) => { clearTimeout(timer); this.#waiting = null; settle(value); };
      this.#waiting = { header: null, asked: performance.now(), working: [], done: end(done), fail: end(fail) };
      this.#connection.send(message);
    });
  }

  #take(data) {
    const waiting = this.#waiting;
    if (!waiting) {
      this.strays.push(String(data));
      return;
    }
    const ms = performance.now() - waiting.asked;
    if (waiting.header) {
      const { status, 'content-type': type, 'content-length': length } = waiting.header;
      waiting.done({ status, type, length, body: data, ms, working: waiting.working });
      return;
    }
    if (typeof data !== 'string') {
      waiting.fail(new Error('a body before its header'));
      return;
    }
    const header = JSON.parse(data);
    if (header.status === 202) waiting.working.push(ms);
    else if (header.status === 204) waiting.done({ status: 204, body: null, ms, working: waiting.working });
    else waiting.header = header;
  }
}

/** A JSON body, which must have come as bytes. */
export function json(answer) {
  if (!(answer.body instanceof ArrayBuffer)) throw new Error('a body that is not binary');
  return JSON.parse(new TextDecoder().decode(answer.body));
}
