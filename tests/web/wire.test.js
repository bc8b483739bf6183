// The browser's chunks against the golden bytes that the Rust twin obeys too.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { CHUNK_BYTES, PIECE_BYTES, emit, parse, split } from '../../signal/web/js/link/wire.js';

const lines = readFileSync(new URL('../vectors/link.txt', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line && !line.startsWith('#'));
const unhex = (hex) => (hex === '-' ? new Uint8Array(0) : Uint8Array.from(Buffer.from(hex, 'hex')));

test('golden chunks read and write', () => {
  const golden = lines.filter((line) => !line.startsWith('!'));
  assert.ok(golden.length > 10);
  for (const line of golden) {
    const [ticket, kind, piece, bytes] = line.split(' ');
    const chunk = { ticket: Number(ticket), kind, piece: unhex(piece) };
    assert.deepEqual(parse(unhex(bytes)), chunk, line);
    assert.deepEqual(emit(chunk.ticket, kind, chunk.piece), unhex(bytes), line);
  }
});

test('what is no chunk reads as none', () => {
  const bad = lines.filter((line) => line.startsWith('! '));
  assert.ok(bad.length > 5);
  for (const line of bad) assert.equal(parse(unhex(line.slice(2))), null, line);
  assert.equal(parse(new Uint8Array(CHUNK_BYTES + 1)), null);
});

test('a view into a larger buffer reads as itself', () => {
  const bytes = new Uint8Array([9, 9, 0, 0, 0, 7, 2, 0x61, 9]).subarray(2, 8);
  assert.deepEqual(parse(bytes), { ticket: 7, kind: 'LAST', piece: Uint8Array.of(0x61) });
});

test('a body of any length splits into pieces that join to it, and one LAST', () => {
  for (const length of [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES, 65_536]) {
    const body = Uint8Array.from({ length }, (_, at) => at * 7);
    const chunks = split(5, body).map(parse);
    assert.deepEqual(chunks.map(({ kind }) => kind).join(' '), [...Array(chunks.length - 1).fill('MORE'), 'LAST'].join(' '));
    assert.deepEqual(Buffer.concat(chunks.map(({ piece }) => piece)), Buffer.from(body));
  }
});

test('a piece that does not fit is refused', () => {
  assert.throws(() => emit(0, 'MORE', new Uint8Array(PIECE_BYTES + 1)), RangeError);
});
