// What the owner wished of events: kept until the device took it, and told anew whenever it comes back.
import { Refusal } from './device.js';

/** Wishes are {device, id, favourite: boolean} or {device, id, gone: true}; the latest of an event replaces its others. */
export class Wishes {
  #store;
  #latest = new Map();
  #held = new Set();

  constructor(store) {
    this.#store = store;
  }

  /** Reads what was wished of a device and not yet told. */
  async load(device) {
    for (const wish of await this.#store.wishes(device.id)) {
      const key = keyOf(device, wish.id);
      if (!this.#latest.has(key)) this.#latest.set(key, wish);
    }
  }

  /** The wishes of a device. */
  of(device) {
    return [...this.#latest.values()].filter((wish) => wish.device === device.id);
  }

  get(device, id) {
    return this.#latest.get(keyOf(device, id));
  }

  /** Keeps a wish. A `held` one can still be undone: nobody tells it until `release`. */
  async keep(device, id, wish, { held = false } = {}) {
    const key = keyOf(device, id);
    const whole = { device: device.id, id, ...wish };
    this.#latest.set(key, whole);
    if (held) this.#held.add(key);
    else this.#held.delete(key);
    await this.#store.putWish(whole);
  }

  /** Undoes a wish that was not told. */
  async drop(device, id) {
    const key = keyOf(device, id);
    this.#latest.delete(key);
    this.#held.delete(key);
    await this.#store.deleteWish(device.id, id);
  }

  /** It can no longer be undone: tells it. Says whether the device took it; throws the Refusal of a wish to be gone. */
  async release(device, id) {
    this.#held.delete(keyOf(device, id));
    return this.#tell(device, this.get(device, id));
  }

  /** Tells all that is not held. */
  async tell(device) {
    for (const wish of this.of(device)) {
      if (!this.#held.has(keyOf(device, wish.id))) await this.#tell(device, wish).catch(() => {});
    }
  }

  /** Forgets a device and all that was wished of it. */
  forget(device) {
    for (const wish of this.of(device)) this.#latest.delete(keyOf(device, wish.id));
  }

  async #tell(device, wish) {
    if (!wish) return true;
    const path = `/api/v1/events/${wish.id}`;
    let refusal = null;
    try {
      if (wish.gone) await device.send('DELETE', path);
      else await device.send('PUT', path, { favourite: wish.favourite });
    } catch (error) {
      if (error.status !== 404 && !(wish.gone && error instanceof Refusal)) return false; // told when the device is back
      if (error.status !== 404) refusal = error;
    }
    if (this.get(device, wish.id) === wish) await this.drop(device, wish.id);
    if (refusal) throw refusal;
    return true;
  }
}

const keyOf = (device, id) => `${device.id}/${id}`;
