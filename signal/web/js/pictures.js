// Thumbnails and pictures, each {url, blob}: from the page's memory, from the saved copy, or from the device.

/** Addresses held at once; the one longest unused is let go. */
export const HELD_PICTURES = 400;
/** Pictures asked of the device at once: a page of the timeline, and some for who scrolls on meanwhile. */
export const ASKED_AT_ONCE = 24;
/** Pictures that nobody looks at yet, asked at once beside those that somebody does. */
export const SAVED_AT_ONCE = 4;

/** Which of an event's pictures it is: a better one comes with another score or another box. */
export const edition = ({ score, box }) => `${score} ${box}`;

export class Pictures {
  #store;
  #held = new Map();
  /** What was asked and is not answered yet, {device, path, answer, resolve} by what it is. */
  #asked = new Map();
  #eager = [];
  #idle = new Set();
  #asking = 0;

  constructor(store) {
    this.#store = store;
  }

  /** The thumbnail, or null where none can be had now. `eager` ones go first. */
  async thumbnail(device, event, eager = true) {
    if (event.kind === 'health') return null;
    const key = keyOf(device, event);
    const held = this.#recall(key);
    if (held) return held;
    const saved = this.#asked.has(`${key}/thumbnail`) ? null : await this.#store.thumbnail(device.id, event.id);
    if (saved && (saved.edition === edition(event) || !device.connected)) return this.#hold(key, saved.blob);
    const now = this.#recall(key);
    if (now) return now;
    const blob = await this.#ask(device, event, 'thumbnail', eager);
    if (!blob) return saved ? this.#hold(key, saved.blob) : null;
    this.#save(device, event, blob);
    return this.#hold(key, blob);
  }

  /** The full picture, or null. */
  async picture(device, event) {
    const key = `${keyOf(device, event)}/full`;
    const held = this.#recall(key);
    if (held) return held;
    const blob = await this.pictureBlob(device, event);
    return blob && this.#hold(key, blob);
  }

  /** The full picture itself, or null. */
  pictureBlob(device, event) {
    return this.#ask(device, event, 'picture', true);
  }

  /** The thumbnail itself, saved or asked for, or null. */
  async thumbnailBlob(device, event) {
    const saved = await this.#store.thumbnail(device.id, event.id);
    return saved?.blob ?? (await this.#ask(device, event, 'thumbnail', true));
  }

  /** A blob that is kept elsewhere, as a favourite's, with an address. */
  hold(key, blob) {
    return this.#recall(key) ?? this.#hold(key, blob);
  }

  /** The ids of the events whose thumbnail is saved: a Set. */
  saved(device) {
    return this.#store.thumbnailIds(device.id).catch(() => new Set());
  }

  /** Saves thumbnails that nobody looks at yet, but for those `saved`, in this order, so many `atOnce`. */
  async save(device, events, saved, atOnce = SAVED_AT_ONCE) {
    const missing = events.filter(({ id, kind }) => kind !== 'health' && !saved.has(id)).values();
    const some = async () => {
      for (const event of missing) {
        if (!device.connected) return;
        const blob = await this.#ask(device, event, 'thumbnail', false);
        if (!blob) continue;
        this.#hold(keyOf(device, event), blob);
        await this.#save(device, event, blob);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, some));
  }

  #save(device, event, blob) {
    return this.#store.saveThumbnail({ device: device.id, id: event.id, blob, edition: edition(event) }).catch(() => {});
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

  /** Asks for a picture, or waits for the one asked for already; `eager` ones go first, the latest of them foremost. */
  #ask(device, event, kind, eager) {
    const path = `/api/v1/events/${event.id}/${kind}`;
    const key = `${keyOf(device, event)}/${kind}`;
    const job = this.#asked.get(key) ?? this.#note(key, { device, path });
    if (eager && this.#idle.delete(job)) this.#eager.unshift(job);
    this.#pump();
    return job.answer;
  }

  #note(key, job) {
    this.#asked.set(key, job);
    this.#idle.add(job);
    job.answer = new Promise((resolve) => (job.resolve = resolve)).finally(() => this.#asked.delete(key));
    return job;
  }

  #pump() {
    while (this.#asking < ASKED_AT_ONCE) {
      const job = this.#eager.shift() ?? this.#idle.values().next().value;
      if (!job) return;
      this.#idle.delete(job);
      this.#asking += 1;
      read(job.device, job.path).then((blob) => {
        this.#asking -= 1;
        job.resolve(blob);
        this.#pump();
      });
    }
  }
}

const keyOf = (device, event) => `${device.id}/${event.id}/${edition(event)}`;

async function read(device, path) {
  try {
    const response = await device.fetch(path);
    return response.ok ? await response.blob() : null;
  } catch {
    return null;
  }
}
