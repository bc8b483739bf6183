// The page of the lab: the browser's own requester and partials in node, driven line by line by tests/lab/page.rs.
//
//   reload                          a page that remembers nothing
//   open NOW WINDOW                 a channel opened: a requester of its own, with that window
//   ask NOW ID METHOD PATH BODY     a request; BODY is hex, or - for none; that of an update is streamed
//   cancel ID | chunk NOW HEX | time NOW | die
//   poll NOW BUFFERED               answered by lines, `until` last:
//     transmit HEX | response ID STATUS ETAG LENGTH SHA1 | failed ID REASON | push JSON | dead | other TYPE | until AT
import { createHash } from 'node:crypto';
import { readSync, writeSync } from 'node:fs';
import { Partials } from '../../signal/web/js/link/partials.js';
import { Requester } from '../../signal/web/js/link/requester.js';

let partials = new Partials();
let requester = null;
let tickets = new Map();
/** Bodies that are streamed, by ticket. */
let files = new Map();

const unhex = (text) => (text === '-' ? new Uint8Array(0) : new Uint8Array(Buffer.from(text, 'hex')));
const hex = (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');

const verbs = {
  reload() {
    partials = new Partials();
    requester = null;
    tickets = new Map();
  },
  open(now, window) {
    requester = new Requester(Number(now), { partials, windowBytes: Number(window) });
    tickets = new Map();
  },
  ask(now, id, method, path, body) {
    const bytes = unhex(body);
    const streamed = path.startsWith('/api/v1/system/update') && bytes.length > 0;
    const request = { method, path, token: 'lab', ...(streamed ? { length: bytes.length } : { body: bytes }) };
    const ticket = requester.request(Number(now), request);
    if (streamed) files.set(ticket, bytes);
    tickets.set(ticket, id);
  },
  cancel(id) {
    for (const [ticket, its] of tickets) {
      if (its !== id) continue;
      tickets.delete(ticket);
      requester.cancel(ticket);
    }
  },
  chunk(now, bytes) {
    requester.handleChunk(Number(now), unhex(bytes));
  },
  time(now) {
    requester.handleTimeout(Number(now));
  },
  die() {
    requester.die();
  },
  poll(now, buffered) {
    const lines = [];
    requester.handleBuffered(Number(now), Number(buffered));
    do {
      const output = requester.pollOutput();
      if (output.type === 'want') requester.handleBody(output.ticket, files.get(output.ticket).subarray(output.from, output.to));
      else lines.push(say(output));
    } while (!lines.at(-1)?.startsWith('until '));
    write(`${lines.join('\n')}\n`);
  },
};

/** An output as a line; a ticket that is answered twice shows as the id `undefined`. */
function say({ type, bytes, ticket, head, body, reason, message, at }) {
  const id = tickets.get(ticket);
  if (type === 'response' || type === 'failed') tickets.delete(ticket);
  switch (type) {
    case 'transmit':
      return `transmit ${hex(bytes)}`;
    case 'response': {
      const sha1 = createHash('sha1').update(body).digest('hex');
      return `response ${id} ${head.status} ${head.etag ?? '-'} ${body.length} ${sha1}`;
    }
    case 'failed':
      return `failed ${id} ${reason}`;
    case 'push':
      return `push ${JSON.stringify(message)}`;
    case 'dead':
      return 'dead';
    case 'timeout':
      return `until ${at}`;
    default:
      return `other ${type}`;
  }
}

function write(text) {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
}

const buffer = Buffer.alloc(1 << 20);
let pending = '';
for (let length; (length = readSync(0, buffer)) > 0; ) {
  const lines = (pending + buffer.latin1Slice(0, length)).split('\n');
  pending = lines.pop();
  for (const line of lines) {
    const [verb, ...words] = line.split(' ');
    verbs[verb](...words);
  }
}
