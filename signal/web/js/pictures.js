// Thumbnails and pictures, each {url, blob}: from the page's memory, from the saved copy, or from the device.

/** Addresses held at once; the one longest unused is let go. */
export const HELD_PICTURES = 400;
/** Pictures asked of the device at once. */
export const ASKED_AT_ONCE = 4;

/** Which of an event's pictures it is: a better one comes with another score or another box. */
export const edition = ({ score, box }) => `${score} ${box}`;

export class Pictures {
  #store;
  #held = new Map();
  #waiting = [];
  #asking = 0;

  constructor(store) {
    this.#store = store;
  }

  /** The thumbnail, or null where none can be had now. `eager` ones go first. */
  async thumbnail(device, event, eager = true) {
    if (event.kind === 'health') return null;
    const key = `${device.id}/${event.id}/${edition(event)}`;
    const held = this.#recall(key);
    if (held) return held;
    const saved = await this.#store.thumbnail(device.id, event.id);
    if (saved && (saved.edition === edition(event) || !device.connected)) return this.#hold(key, saved.blob);
    const blob = await this.#ask(device, `/api/v1/events/${event.id}/thumbnail`, eager);
    if (!blob) return saved ? this.#hold(key, saved.blob) : null;
    await this.#store.saveThumbnail({ device: device.id, id: event.id, blob, edition: edition(event) }).catch(() => {});
    return this.#hold(key, blob);
  }

  /** The full picture, or null. */
  async picture(device, event) {
    const key = `${device.id}/${event.id}/${edition(event)}/full`;
    const held = this.#recall(key);
    if (held) return held;
    const blob = await this.pictureBlob(device, event);
    return blob && this.#hold(key, blob);
  }

  /** The full picture itself, or null. */
  pictureBlob(device, event) {
    return this.#ask(device, `/api/v1/events/${event.id}/picture`, true);
  }

  /** The thumbnail itself, saved or asked for, or null. */
  async thumbnailBlob(device, event) {
    const saved = await this.#store.thumbnail(device.id, event.id);
    return saved?.blob ?? (await this.#ask(device, `/api/v1/events/${event.id}/thumbnail`, true));
  }

  /** A blob that is kept elsewhere, as a favourite's, with an address. */
  hold(key, blob) {
    return this.#recall(key) ?? this.#hold(key, blob);
  }

  /** Saves thumbnails that nobody looks at yet, after everything that somebody does. */
  async save(device, events) {
    for (const event of events) {
      if (!device.connected) return;
      const saved = event.kind === 'health' || (await this.#store.thumbnail(device.id, event.id));
      if (saved) continue;
      const blob = await this.#ask(device, `/api/v1/events/${event.id}/thumbnail`, false);
      if (blob) await this.#store.saveThumbnail({ device: device.id, id: event.id, blob, edition: edition(event) }).catch(() => {});
    }
  }

  #recall(key) {
    const held = this.#held.get(key);
    if (!held) return null;
    this.#held.delete(key);
    this.#held.set(key, held);
    return held;
  }

  #hold(key, blob) {
    const known = this.#recall(key);
    if (known) return known;
    const held = { url: URL.createObjectURL(blob), blob };
    this.#held.set(key, held);
    if (this.#held.size > HELD_PICTURES) {
      const [oldest, old] = this.#held.entries().next().value;
      this.#held.delete(oldest);
      URL.revokeObjectURL(old.url);
    }
    return held;
  }

  #ask(device, path, eager) {
    return new Promise((resolve) => {
      const job = () => read(device, path).then(resolve);
      if (eager) this.#waiting.unshift(job);
      else this.#waiting.push(job);
      this.#pump();
    });
  }

  async #pump() {
    while (this.#asking < ASKED_AT_ONCE && this.#waiting.length > 0) {
      const job = this.#waiting.shift();
      this.#asking += 1;
      job().finally(() => {
        this.#asking -= 1;
        this.#pump();
      });
    }
  }
}

async function read(device, path) {
  try {
    const response = await device.fetch(path);
    return response.ok ? await response.blob() : null;
  } catch {
    return null;
  }
}
