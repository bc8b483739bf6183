// Chunks on the data channel: the twin of edge/core/src/link/wire.rs; both obey tests/vectors/link.txt.
//
//  0        4      5
//  +--------+------+--------- - -
//  | ticket | kind | piece
//  +--------+------+--------- - -
//
// Integers are big-endian; `piece` may be empty. One data-channel message is one chunk.

/** Bytes before the piece. */
export const HEADER_BYTES = 5;
/** Bytes of the largest chunk, its header included. */
export const CHUNK_BYTES = 16_384;
/** Bytes of the largest piece. */
export const PIECE_BYTES = CHUNK_BYTES - HEADER_BYTES;
/** Bytes of the largest head, JSON. */
export const HEAD_BYTES = 4096;
/** What a chunk carries, by its number on the wire. */
export const KINDS = Object.freeze(['HEAD', 'MORE', 'LAST', 'CANCEL', 'PING', 'PONG', 'PUSH', 'CREDIT']);

// Bytes of the largest and the smallest piece of each kind that has limits of its own.
const MOST = { HEAD: HEAD_BYTES, CANCEL: 0, PING: 0, PONG: 0, CREDIT: 4 };
const LEAST = { CREDIT: 4 };
const EMPTY = new Uint8Array(0);

/**
 * Reads one chunk; null for anything that is none, whatever the bytes.
 * @param {Uint8Array} bytes
 * @returns {{ticket: number, kind: string, piece: Uint8Array} | null} `piece` borrows from `bytes`
 */
export function parse(bytes) {
  if (bytes.length < HEADER_BYTES || bytes.length > CHUNK_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kind = KINDS[view.getUint8(4)];
  if (kind === undefined) return null;
  const piece = bytes.subarray(HEADER_BYTES);
  if (piece.length > MOST[kind] || piece.length < LEAST[kind]) return null;
  return { ticket: view.getUint32(0), kind, piece };
}

/**
 * Writes one chunk.
 * @param {number} ticket
 * @param {string} kind one of KINDS
 * @param {Uint8Array} [piece] at most PIECE_BYTES
 * @returns {Uint8Array}
 */
export function emit(ticket, kind, piece = EMPTY) {
  if (piece.length > PIECE_BYTES) throw new RangeError(`a piece of ${piece.length} bytes`);
  const bytes = new Uint8Array(HEADER_BYTES + piece.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, ticket);
  view.setUint8(4, KINDS.indexOf(kind));
  bytes.set(piece, HEADER_BYTES);
  return bytes;
}

/**
 * Writes a CREDIT.
 * @param {number} taken bytes of MORE pieces that have come in all, wrapping
 * @param {number} window bytes that may be on their way beyond those
 * @returns {Uint8Array}
 */
export function credit(taken, window) {
  const bytes = emit(taken, 'CREDIT', new Uint8Array(4));
  new DataView(bytes.buffer).setUint32(HEADER_BYTES, window);
  return bytes;
}

/**
 * Cuts a body into the chunks that carry it: MORE, MORE, ..., and exactly one LAST.
 * @param {number} ticket
 * @param {Uint8Array} body
 * @returns {Uint8Array[]}
 */
export function split(ticket, body) {
  const chunks = [];
  let at = 0;
  for (; body.length - at > PIECE_BYTES; at += PIECE_BYTES) {
    chunks.push(emit(ticket, 'MORE', body.subarray(at, at + PIECE_BYTES)));
  }
  chunks.push(emit(ticket, 'LAST', body.subarray(at)));
  return chunks;
}
