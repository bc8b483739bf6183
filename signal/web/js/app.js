// What the views share: the devices this phone knows, the one it looks at, and what is kept of them.
import { connect } from '../link.js';
import { Device, readAnswer } from './device.js';
import { Favourites } from './favourites.js';
import { Feed } from './feed.js';
import { Pictures } from './pictures.js';
import { Wishes } from './wishes.js';

/** How often pairing is tried while it is closed, ms. */
export const KNOCK_EVERY_MS = 3000;

/**
 * Tells `device` when another device is looked at, `state` when its connection changed, `feed` when its events did,
 * and `devices` when the list of devices did.
 */
export class App extends EventTarget {
  /** The device looked at, or null. */
  device = null;
  /** Its timeline, or null. */
  feed = null;
  /** Everything remembered: {id, name, token, added_ms}[] */
  records = [];

  /**
   * @param {string} signal the signaling server's address: where this page came from
   * @param store
   * @param {import('./view/notices.js').Notices} notices
   */
  constructor(signal, store, notices) {
    super();
    this.signal = signal;
    this.store = store;
    this.notices = notices;
    this.pictures = new Pictures(store);
    this.wishes = new Wishes(store);
    this.favourites = new Favourites(store, this.pictures, this.wishes);
  }

  /** Reads what is remembered and begins with the device looked at last; false when the browser remembers nothing. */
  async start() {
    const read = await Promise.allSettled([this.favourites.load(), this.store.devices(), this.store.meta('current')]);
    const [, records, { value: last }] = read;
    this.records = records.value ?? [];
    const record = this.records.find(({ id }) => id === last) ?? this.records[0];
    if (record) await this.look(record.id);
    return this.store.lasting && read.every(({ status }) => status === 'fulfilled');
  }

  record(id) {
    return this.records.find((record) => record.id === id);
  }

  /** Looks at a known device. */
  async look(id) {
    if (this.device && this.device.id === id) return;
    this.#leave();
    const record = this.record(id);
    if (record) {
      this.device = new Device(record, this.signal);
      this.feed = new Feed(this.device, this);
      const { device, feed } = this;
      device.addEventListener('state', () => this.device === device && this.#state());
      feed.addEventListener('change', () => this.feed === feed && this.#tell('feed'));
      this.store.setMeta('current', id).catch(() => {});
    }
    this.#tell('device');
    if (!record) return;
    const { device, feed } = this;
    await feed.restore().catch(() => {});
    device.run();
  }

  #leave(options) {
    this.device?.stop();
    this.feed?.stop(options);
    this.device = null;
    this.feed = null;
  }

  #state() {
    if (this.device.connected) this.store.putDevice(this.device.record).catch(() => {});
    this.#tell('state');
  }

  #tell(type) {
    this.dispatchEvent(new Event(type));
  }

  /**
   * Pairs with a device of the room, knocking until its door is open.
   * @param {{id: string, name: string}} found
   * @param {string} name what this phone is to be called there
   * @param {{onclosed: () => void, signal: AbortSignal}} options
   */
  async pair(found, name, { onclosed, signal }) {
    const link = connect({ signal: this.signal, id: found.id });
    const hangUp = () => link.close();
    signal.addEventListener('abort', hangUp);
    try {
      await link.opened;
      const token = await knock(link, name, onclosed, signal);
      const record = { id: found.id, name: found.name, token, added_ms: Date.now() };
      await this.store.addDevice(record).catch(() => this.notices.trouble('This browser could not keep the pairing.'));
      this.records = [...this.records.filter(({ id }) => id !== found.id), record];
    } finally {
      signal.removeEventListener('abort', hangUp);
      link.close();
    }
    if (this.device?.id === found.id) this.#leave();
    this.#tell('devices');
    await this.look(found.id);
  }

  /** Gives the device its new name. */
  async rename(name) {
    await this.device.send('PUT', '/api/v1/device', { name });
    await this.device.refresh();
    await this.store.putDevice(this.device.record);
    this.#tell('devices');
  }

  /** Forgets a device; favourites from it stay. */
  async forget(id) {
    const here = this.device?.id === id;
    if (here) this.#leave({ discard: true });
    this.records = this.records.filter((record) => record.id !== id);
    this.wishes.forget({ id });
    try {
      await this.store.forgetDevice(id);
    } finally {
      if (here) await this.look(this.records[0]?.id);
    }
    this.#tell('devices');
  }
}

async function knock(link, name, onclosed, signal) {
  for (;;) {
    try {
      const response = await link.fetch('/api/v1/pair', { method: 'POST', body: JSON.stringify({ name }), signal });
      return (await readAnswer(response)).token;
    } catch (error) {
      if (error.code !== 'pairing_closed') throw error;
      onclosed();
    }
    await new Promise((resolve) => setTimeout(resolve, KNOCK_EVERY_MS));
    signal.throwIfAborted();
  }
}
