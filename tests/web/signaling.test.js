// Addresses of the signaling server and of its rooms, the names a page gives itself, and whose end ends what.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OPEN_WITHIN_MS, Signaling, address, roomUrl, socketUrl, uuid } from '../../signal/web/js/link/signaling.js';

test('signaling addresses read in every form the edge takes', () => {
  const table = [
    ['http://127.0.0.1:9000', 'http://127.0.0.1:9000/', 'ws://127.0.0.1:9000/', 'peerjs'],
    ['https://a.example/pnp', 'https://a.example/pnp/', 'wss://a.example/pnp/', 'peerjs'],
    ['wss://a.example/pnp/?key=k', 'https://a.example/pnp/', 'wss://a.example/pnp/', 'k'],
    ['ws://[::1]:9000/#device=x', 'http://[::1]:9000/', 'ws://[::1]:9000/', 'peerjs'],
  ];
  for (const [signal, http, socket, key] of table) assert.deepEqual(address(signal), { http, socket, key });
  assert.throws(() => address('ftp://a.example/'), TypeError);
  assert.throws(() => address('a.example'), TypeError);
});

test('routes carry the key, the id and the token', () => {
  const at = address('http://h:1/x/?key=k y');
  const me = { id: 'i', token: 't' };
  assert.equal(socketUrl(at, me), 'ws://h:1/x/peerjs?key=k+y&id=i&token=t&version=nightjar');
  assert.equal(roomUrl(at, me, 'id'), 'http://h:1/x/k%20y/i/t/room/id');
});

test('a uuid is of version 4 without crypto.randomUUID', () => {
  const form = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
  assert.match(uuid(), form);
  assert.match(uuid(new Uint8Array(16)), form);
  assert.match(uuid(new Uint8Array(16).fill(255)), form);
  assert.notEqual(uuid(), uuid());
});

test('the late end of an old socket leaves the new one alone', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const sockets = [];
  globalThis.WebSocket = class {
    static OPEN = 1;
    static CLOSING = 2;
    readyState = 0;
    constructor() {
      sockets.push(this);
    }
    close() {
      this.readyState = WebSocket.CLOSING;
    }
    welcome() {
      this.readyState = WebSocket.OPEN;
      this.onmessage({ data: '{"type":"OPEN"}' });
    }
  };
  t.after(() => delete globalThis.WebSocket);
  const signaling = new Signaling('http://127.0.0.1:9000/');
  const late = assert.rejects(signaling.open(), { reason: 'signaling' });
  t.mock.timers.tick(OPEN_WITHIN_MS);
  await late;
  for (const old of [0, 1]) {
    const opened = signaling.open();
    sockets[old].onclose();
    sockets[old + 1].welcome();
    await opened;
    sockets[old].onclose();
    assert.ok(signaling.registered, `after the end of socket ${old}`);
    signaling.close();
  }
  const opened = signaling.open();
  sockets.at(-1).welcome();
  await opened;
  let closes = 0;
  signaling.onclose = () => (closes += 1);
  sockets.at(-1).onclose();
  assert.deepEqual([signaling.registered, closes], [false, 1], 'its own end it heeds');
});
