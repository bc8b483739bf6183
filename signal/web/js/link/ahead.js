// A streamed body, read ahead: a browser takes milliseconds for each read of a file, however short.

/** Bytes of one read; so many are being read while as many are taken. */
export const SLAB_BYTES = 1 << 20;

/** Reads a Blob from its beginning to its end. */
export class Ahead {
  #blob;
  #begin = -1;
  #slab = null;
  #next;

  /** @param {Blob} blob */
  constructor(blob) {
    this.#blob = blob;
    this.#next = this.#load(0);
  }

  /**
   * Bytes from `from`, those before it having been read: up to `to`, or fewer where a slab ends.
   * @param {number} from @param {number} to
   * @returns {Promise<Uint8Array<ArrayBuffer>>} borrowed
   * @throws {DOMException} the file is gone, or was changed since it was chosen
   */
  async read(from, to) {
    const begin = from - (from % SLAB_BYTES);
    if (begin !== this.#begin) {
      this.#begin = begin;
      this.#slab = this.#next;
      this.#next = this.#load(begin + SLAB_BYTES);
    }
    return new Uint8Array(await this.#slab).subarray(from - begin, to - begin);
  }

  #load(begin) {
    const slab = this.#blob.slice(begin, begin + SLAB_BYTES).arrayBuffer();
    slab.catch(() => {}); // whoever reads it hears of it
    return slab;
  }
}
