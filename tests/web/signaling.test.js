// Addresses of the signaling server and of its rooms, and the names a page gives itself.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { address, roomUrl, socketUrl, uuid } from '../../signal/web/js/link/signaling.js';

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
