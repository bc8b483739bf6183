// A streamed body that is read ahead: its bytes in order, a slab ahead and no more, and a file that is gone.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ahead, SLAB_BYTES } from '../../signal/web/js/link/ahead.js';

/** A file of so many bytes that counts what was read of it. */
class File extends Blob {
  read = 0;
  slice(from, to) {
    this.read = Math.min(to, this.size);
    return super.slice(from, to);
  }
}

test('a body comes in order and whole, read one slab ahead', async () => {
  const bytes = Uint8Array.from({ length: 3 * SLAB_BYTES + 77 }, (_, at) => (at * at) % 251);
  const file = new File([bytes]);
  const ahead = new Ahead(file);
  for (let from = 0; from < bytes.length; ) {
    const piece = await ahead.read(from, Math.min(from + 16_379, bytes.length));
    assert.ok(piece.length > 0 && piece.length <= 16_379);
    assert.deepEqual(piece, bytes.subarray(from, from + piece.length));
    from += piece.length;
    assert.ok(file.read - from <= 2 * SLAB_BYTES, `${file.read - from} bytes are read ahead`);
  }
});

test('a file that is gone is told to whoever reads it', async () => {
  const gone = { slice: () => ({ arrayBuffer: () => Promise.reject(new Error('gone')) }) };
  const ahead = new Ahead(gone);
  await assert.rejects(ahead.read(0, 10), /gone/);
  await assert.rejects(ahead.read(10, 20), /gone/);
});
