// What this phone remembers: devices, the saved timeline, favourites with their pictures. IndexedDB, nothing else.

/** Events of a device that read offline. */
export const SAVED_EVENTS = 200;

/** The browser may take so long to open the database, ms; after that the page goes on without. */
export const OPEN_WITHIN_MS = 5000;

const NAME = 'nightjar';
const VERSION = 1;

/** Every record of one device in a store keyed [device, id]. */
const ofDevice = (device) => IDBKeyRange.bound([device], [device, []]);

/** The database, or a store that forgets where the browser keeps none (`lasting` is false then). */
export async function openStore() {
  try {
    return new Store(await open());
  } catch {
    return new Store(null);
  }
}

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = ({ oldVersion }) => upgrade(request.result, oldVersion);
    const timer = setTimeout(() => reject(new Error('The browser did not open its database.')), OPEN_WITHIN_MS);
    request.onsuccess = () => {
      clearTimeout(timer);
      resolve(request.result);
    };
    request.onerror = () => {
      clearTimeout(timer);
      reject(request.error);
    };
  });
}

/** The steps from each version to the next; an old database goes through all that follow its own. */
function upgrade(database, from) {
  if (from < 1) {
    database.createObjectStore('meta');
    database.createObjectStore('devices', { keyPath: 'id' });
    for (const name of ['events', 'thumbnails', 'favourites', 'wishes']) {
      database.createObjectStore(name, { keyPath: ['device', 'id'] });
    }
  }
}

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

class Store {
  #database;
  #forgotten = new Set();

  constructor(database) {
    this.#adopt(database);
    /** Whether what is kept here outlives the page. */
    this.lasting = database !== null;
  }

  #adopt(database) {
    this.#database = database;
    if (!database) return;
    database.onclose = () => (this.#database = null);
    database.onversionchange = () => {
      this.#database = null;
      database.close();
    };
  }

  /** The database, opened again where the browser closed it. */
  async #open() {
    if (!this.#database && this.lasting) this.#adopt(await open());
    return this.#database;
  }

  async #read(name, act, empty) {
    const database = await this.#open();
    if (!database) return empty;
    return done(act(database.transaction(name).objectStore(name)));
  }

  /** Writes something of a device, unless that one was forgotten meanwhile. */
  #writeOf(device, names, act) {
    return this.#forgotten.has(device) ? Promise.resolve() : this.#write(names, act);
  }

  async #write(names, act) {
    const database = await this.#open();
    if (!database) return undefined;
    const transaction = database.transaction(names, 'readwrite');
    act(...names.map((name) => transaction.objectStore(name)));
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
  }

  /** One small value: `current` (device id), `synced/{device}` (ms), `status/{device}`. */
  meta(key) {
    return this.#read('meta', (store) => store.get(key), undefined);
  }

  setMeta(key, value) {
    const device = key.split('/')[1];
    return this.#writeOf(device, ['meta'], (store) => store.put(value, key));
  }

  /** {id, name, token, added_ms}[] */
  devices() {
    return this.#read('devices', (store) => store.getAll(), []);
  }

  /** Keeps a device, one forgotten earlier too. */
  addDevice(device) {
    this.#forgotten.delete(device.id);
    return this.putDevice(device);
  }

  putDevice(device) {
    return this.#writeOf(device.id, ['devices'], (store) => store.put(device));
  }

  /** Forgets a device and its saved timeline; its favourites stay. What still comes of it is not kept. */
  forgetDevice(id) {
    this.#forgotten.add(id);
    return this.#write(['devices', 'events', 'thumbnails', 'wishes', 'meta'], (devices, events, thumbnails, wishes, meta) => {
      devices.delete(id);
      for (const store of [events, thumbnails, wishes]) store.delete(ofDevice(id));
      meta.delete(`synced/${id}`);
      meta.delete(`status/${id}`);
      meta.get('current').onsuccess = ({ target }) => target.result === id && meta.delete('current');
    });
  }

  /** The saved events of a device, newest first. */
  async events(device) {
    const records = await this.#read('events', (store) => store.getAll(ofDevice(device)), []);
    return records.map(({ event }) => event).reverse();
  }

  /** Saves the newest events; those not among them go, with their thumbnails. */
  saveEvents(device, events) {
    const kept = events.slice(0, SAVED_EVENTS);
    const ids = new Set(kept.map(({ id }) => id));
    return this.#writeOf(device, ['events', 'thumbnails'], (store, thumbnails) => {
      store.delete(ofDevice(device));
      for (const event of kept) store.put({ device, id: event.id, event });
      thumbnails.getAllKeys(ofDevice(device)).onsuccess = ({ target }) => {
        for (const key of target.result) if (!ids.has(key[1])) thumbnails.delete(key);
      };
    });
  }

  /** {device, id, blob, edition} or undefined; `edition` tells which of a still open event's pictures it is. */
  thumbnail(device, id) {
    return this.#read('thumbnails', (store) => store.get([device, id]), undefined);
  }

  /** The ids of the events whose thumbnail is saved: a Set. */
  async thumbnailIds(device) {
    const keys = await this.#read('thumbnails', (store) => store.getAllKeys(ofDevice(device)), []);
    return new Set(keys.map(([, id]) => id));
  }

  saveThumbnail(record) {
    return this.#writeOf(record.device, ['thumbnails'], (store) => store.put(record));
  }

  /** {device, id, event, name, starred_ms, thumbnail: Blob|null, picture: Blob|null}[] */
  favourites() {
    return this.#read('favourites', (store) => store.getAll(), []);
  }

  putFavourite(favourite) {
    return this.#write(['favourites'], (store) => store.put(favourite));
  }

  deleteFavourite(device, id) {
    return this.#write(['favourites'], (store) => store.delete([device, id]));
  }

  /** What was wished while the device was away: {device, id, favourite}[] or {device, id, gone}[] */
  wishes(device) {
    return this.#read('wishes', (store) => store.getAll(ofDevice(device)), []);
  }

  putWish(wish) {
    return this.#writeOf(wish.device, ['wishes'], (store) => store.put(wish));
  }

  deleteWish(device, id) {
    return this.#write(['wishes'], (store) => store.delete([device, id]));
  }
}
