// Starred events: kept on this phone with their pictures, and told to the device so that it keeps them too.

/** Tells `change` whenever a star was set or taken. */
export class Favourites extends EventTarget {
  #store;
  #pictures;
  #wishes;
  #byKey = new Map();

  constructor(store, pictures, wishes) {
    super();
    this.#store = store;
    this.#pictures = pictures;
    this.#wishes = wishes;
  }

  /** Reads what is kept. */
  async load() {
    for (const favourite of await this.#store.favourites()) this.#byKey.set(keyOf(favourite.device, favourite.id), favourite);
    this.#changed();
  }

  /** Newest first. */
  list() {
    return [...this.#byKey.values()].sort((a, b) => b.event.started_ms - a.event.started_ms);
  }

  has(device, id) {
    return this.#byKey.has(keyOf(device, id));
  }

  get(device, id) {
    return this.#byKey.get(keyOf(device, id));
  }

  /** Stars an event: at once on the page, then its pictures, then the device. */
  async star(device, event) {
    await this.#keep(device, event);
    await this.#wish(device, event.id, true);
  }

  /** Takes the star, and with it the copy on this phone. */
  async unstar(device, id) {
    this.#byKey.delete(keyOf(device.id, id));
    this.#changed();
    await this.#store.deleteFavourite(device.id, id);
    await this.#wish(device, id, false);
  }

  /** Puts a star back as it was, pictures and all. */
  async restore(device, kept) {
    this.#byKey.set(keyOf(device.id, kept.event.id), kept);
    await this.star(device, kept.event);
  }

  /** Takes copies of what another phone starred. `current` says how an event is by then: copying takes its time. */
  async sync(device, ids, current) {
    for (const id of ids) {
      const event = current(id);
      if (!event || this.#wishes.get(device, id)) continue;
      const kept = this.get(device.id, event.id);
      if (kept && kept.picture && kept.event.ended_ms !== null) continue;
      if (kept || event.favourite) await this.#keep(device, event);
    }
  }

  async #keep(device, event) {
    const kept = this.get(device.id, event.id);
    const favourite = {
      thumbnail: null, picture: null, starred_ms: Date.now(), ...kept,
      device: device.id, id: event.id, name: device.name, event: { ...event, favourite: true },
    };
    this.#byKey.set(keyOf(device.id, event.id), favourite);
    this.#changed();
    await this.#store.putFavourite(favourite);
    favourite.thumbnail ??= await this.#pictures.thumbnailBlob(device, event);
    favourite.picture = (await this.#pictures.pictureBlob(device, event)) ?? favourite.picture;
    if (this.#byKey.get(keyOf(device.id, event.id)) !== favourite) return; // the star was taken meanwhile
    await this.#store.putFavourite(favourite);
    this.#changed();
  }

  async #wish(device, id, favourite) {
    await this.#wishes.keep(device, id, { favourite });
    await this.#wishes.release(device, id);
  }

  #changed() {
    this.dispatchEvent(new Event('change'));
  }
}

const keyOf = (device, id) => `${device}/${id}`;
