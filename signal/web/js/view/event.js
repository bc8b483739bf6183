// One event, large: its picture, its facts, star, save, delete; the next and the previous by button, key and swipe.
import { edition } from '../pictures.js';
import { ago, clock, day, dayKey, family, labelWord, moment, title } from '../words.js';
import { h, say } from './dom.js';
import { icon } from './icons.js';
import { picture } from './picture.js';

/** A swipe is at least so far, px. */
const SWIPE_PX = 48;

export class EventView {
  #app;
  #actions;
  #item = null;
  #around = { newer: null, older: null };
  /** The picture shown, {url, blob}, or null. */
  #shown = null;
  #turn = 0;
  /** Which event the stage shows. */
  #staged = null;
  /** Whether the large picture could not be had. */
  #lacking = false;
  #stage = h('div', { class: 'stage' });
  #heading = h('h1', { id: 'event-title', tabindex: '-1' });
  #when = h('p', { class: 'when' });
  #note = h('p', { class: 'note', role: 'status' });
  #facts = h('dl', { class: 'facts' });
  #badge = h('span', { class: 'badge' });
  #buttons;
  #swipe_x = null;

  /** @param actions {star(item), remove(item), go(item), close()} */
  constructor(app, actions) {
    this.#app = app;
    this.#actions = actions;
    this.#buttons = this.#makeButtons();
    const { close, newer, older, star, share, bin } = this.#buttons;
    this.element = h(
      'dialog',
      { class: 'viewer', 'aria-labelledby': 'event-title', test: 'event-view' },
      h('div', { class: 'viewer-top' }, close),
      h('div', { class: 'viewer-stage' }, newer, this.#stage, older),
      h(
        'div',
        { class: 'viewer-side' },
        h('div', { class: 'viewer-head' }, this.#badge, h('div', {}, this.#heading, this.#when)),
        this.#note,
        h('div', { class: 'row actions' }, star, share, bin),
        this.#facts,
      ),
    );
    this.#listen();
  }

  #makeButtons() {
    const round = (name, label, test, onclick) =>
      h('button', { type: 'button', class: 'round', 'aria-label': label, title: label, test, onclick }, icon(name));
    const wide = (name, word, test, onclick) =>
      h('button', { type: 'button', class: 'button', test, onclick }, icon(name), h('span', {}, word));
    return {
      close: round('close', 'Close', 'event-close', () => this.#actions.close()),
      newer: round('back', 'Newer event', 'event-newer', () => this.#step('newer')),
      older: round('forward', 'Older event', 'event-older', () => this.#step('older')),
      star: wide('star', 'Star', 'event-star', () => this.#actions.star(this.#item)),
      share: wide(canShare() ? 'share' : 'save', canShare() ? 'Share' : 'Save', 'event-share', () => this.#share()),
      bin: wide('bin', 'Delete', 'event-delete', () => this.#actions.remove(this.#item)),
    };
  }

  #listen() {
    const dialog = this.element;
    dialog.addEventListener('cancel', (event) => {
      event.preventDefault();
      this.#actions.close();
    });
    // The browser may close it without asking, as a second press of "back" does.
    dialog.addEventListener('close', () => this.#item && this.#actions.close());
    dialog.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: 'newer', ArrowRight: 'older' }[event.key];
      if (step) this.#step(step);
      if (event.key === 's') this.#actions.star(this.#item);
      if (event.key === 'Delete') this.#actions.remove(this.#item);
    });
    this.#stage.addEventListener('pointerdown', (event) => (this.#swipe_x = event.isPrimary ? event.clientX : null));
    this.#stage.addEventListener('pointerup', (event) => {
      const far = this.#swipe_x === null ? 0 : event.clientX - this.#swipe_x;
      this.#swipe_x = null;
      if (Math.abs(far) >= SWIPE_PX) this.#step(far > 0 ? 'newer' : 'older');
    });
    this.#stage.addEventListener('pointercancel', () => (this.#swipe_x = null));
  }

  #step(direction) {
    if (this.#around[direction]) this.#actions.go(this.#around[direction]);
  }

  get open() {
    return this.#item !== null;
  }

  get item() {
    return this.#item;
  }

  /** Shows an item, {device, event, deviceName?}, with its neighbours. */
  show(item, around) {
    const other = this.#item?.event.id !== item.event.id || this.#item?.device !== item.device;
    const grown = other || edition(this.#item.event) !== edition(item.event);
    this.#item = item;
    this.#around = around;
    this.#words();
    if (!this.element.open) this.element.showModal();
    if (other) this.#heading.focus({ preventScroll: true });
    const back = this.#lacking && this.#app.device?.id === item.device && this.#app.device.connected;
    if (grown || back) this.#draw(item, other);
  }

  close() {
    this.#item = null;
    this.#staged = null;
    this.#stage.replaceChildren();
    this.element.close();
  }

  /** Says anew what may have changed: the event itself, star, connection, neighbours. */
  refresh(item, around) {
    if (this.element.open) this.show(item, around);
  }

  #words() {
    const { event, device, deviceName } = this.#item;
    const { star, newer, older, bin, share } = this.#buttons;
    const now = Date.now();
    const kind = family(event);
    say(this.#heading, title(event));
    const today = dayKey(event.started_ms) === dayKey(now) ? ` · ${ago(event.started_ms, now)}` : '';
    say(this.#when, `${day(event.started_ms, now)}, ${clock(event.started_ms)}${today}`);
    this.#badge.className = `badge large ${kind}`;
    this.#badge.replaceChildren(icon(kind));
    const starred = this.#app.favourites.has(device, event.id) || event.favourite;
    star.setAttribute('aria-pressed', String(starred));
    say(star.lastElementChild, starred ? 'Starred' : 'Star');
    newer.disabled = !this.#around.newer;
    older.disabled = !this.#around.older;
    const here = this.#app.device?.id === device && this.#app.device.connected;
    bin.disabled = !here;
    bin.title = here ? '' : 'The box must be connected to delete';
    share.disabled = !this.#shown;
    this.element.dataset.id = event.id;
    this.element.dataset.label = event.label;
    this.#tell(event, deviceName ?? this.#app.record(device)?.name);
  }

  #tell(event, deviceName) {
    const facts = [
      ['What', labelWord(event.label)],
      event.score > 0 ? ['Certainty', `${Math.round(event.score * 100)} %`] : null,
      ['Camera', event.camera],
      deviceName ? ['Box', deviceName] : null,
      ['Began', moment(event.started_ms)],
      ['Ended', event.ended_ms === null ? 'Still going on' : ended(event)],
    ].filter(Boolean);
    this.#facts.replaceChildren(...facts.map(([term, value]) => h('div', {}, h('dt', {}, term), h('dd', {}, value))));
  }

  async #draw({ event, device }, other) {
    const turn = (this.#turn += 1);
    const late = () => turn !== this.#turn || !this.#item;
    const shown = picture(event.box, title(event), true);
    this.#lacking = false;
    if (other) {
      this.#shown = null;
      this.#buttons.share.disabled = true;
      say(this.#note, '');
    }
    const small = await this.#small(device, event);
    if (late()) return;
    const fresh = this.#staged !== `${device}/${event.id}`;
    if (small && fresh) shown.show(small.url);
    if (fresh) this.#stage.replaceChildren(shown.element);
    this.#staged = `${device}/${event.id}`;
    const full = await this.#full(device, event);
    if (late()) return;
    this.#lacking = !full;
    if (full) {
      shown.show(full.url);
      say(this.#note, '');
      if (!fresh) this.#stage.replaceChildren(shown.element);
    } else if (!small) {
      shown.miss('The picture is on the box, which is away.');
    } else {
      say(this.#note, 'This is the small picture. The large one is on the box, which is away.');
    }
    this.#shown = full ?? small;
    this.#buttons.share.disabled = !this.#shown;
  }

  async #small(device, event) {
    const { favourites, pictures } = this.#app;
    const kept = favourites.get(device, event.id)?.thumbnail;
    if (kept) return pictures.hold(`${device}/${event.id}/kept`, kept);
    return this.#app.device?.id === device ? pictures.thumbnail(this.#app.device, event) : null;
  }

  async #full(device, event) {
    const { favourites, pictures } = this.#app;
    const kept = favourites.get(device, event.id)?.picture;
    if (kept) return pictures.hold(`${device}/${event.id}/kept-full`, kept);
    return this.#app.device?.id === device ? pictures.picture(this.#app.device, event) : null;
  }

  async #share() {
    const { event } = this.#item;
    const at = new Date(event.started_ms).toISOString().slice(0, 19).replaceAll(':', '-');
    const file = new File([this.#shown.blob], `nightjar-${event.label}-${at}.jpg`, { type: 'image/jpeg' });
    try {
      if (canShare()) await navigator.share({ files: [file], title: title(event) });
      else save(file);
    } catch (error) {
      if (error.name !== 'AbortError') this.#app.notices.trouble(`The picture could not be handed on: ${error.message}`);
    }
  }
}

function save(file) {
  const url = URL.createObjectURL(file);
  h('a', { href: url, download: file.name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** The end's time of day, with the day where it is another. */
function ended({ started_ms, ended_ms }) {
  return dayKey(started_ms) === dayKey(ended_ms) ? clock(ended_ms) : moment(ended_ms);
}

function canShare() {
  try {
    return Boolean(navigator.canShare?.({ files: [new File([''], 'x.jpg', { type: 'image/jpeg' })] }));
  } catch {
    return false;
  }
}
