// Beginnings of answers that broke off, kept so that whoever asks again, on any link, gets only the rest sent.
//
// One belongs to one device: an entity tag says nothing about another's bodies.
import { PIECE_BYTES } from './wire.js';

/** Beginnings kept at once; one more, and the oldest goes. */
export const PARTIALS = 16;
/** Bytes of all of them; beyond, the oldest goes. */
export const PARTIALS_BYTES = 16 << 20;
/** A shorter beginning is not worth keeping, bytes. */
export const LEAST_BYTES = PIECE_BYTES;

/** What has come of answers, by path. */
export class Partials {
  #kept = new Map();
  #bytes = 0;

  /**
   * Keeps a beginning, where it can be gone on with: of a 200 with a strong entity tag and a length.
   * @param {string} path
   * @param {{head: {status: number, etag?: string, length?: number}, pieces: Uint8Array[], bytes: number}} partial
   */
  keep(path, { head, pieces, bytes }) {
    const tagged = head.status === 200 && typeof head.etag === 'string' && head.etag.startsWith('"');
    if (!tagged || !Number.isInteger(head.length) || bytes < LEAST_BYTES || bytes > PARTIALS_BYTES) return;
    this.take(path);
    this.#kept.set(path, { head, pieces, bytes });
    this.#bytes += bytes;
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= PARTIALS && this.#bytes <= PARTIALS_BYTES) return;
      this.take(oldest);
    }
  }

  /** Hands out what is kept of that path; undefined where nothing is. */
  take(path) {
    const partial = this.#kept.get(path);
    if (!partial) return undefined;
    this.#kept.delete(path);
    this.#bytes -= partial.bytes;
    return partial;
  }
}
