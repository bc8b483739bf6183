// One event in the list: its picture, its sentence, its time, its star.
import { edition } from '../pictures.js';
import { ago, clock, family, healthSentence, moment, title } from '../words.js';
import { h, say } from './dom.js';
import { icon } from './icons.js';
import { picture } from './picture.js';

/**
 * @param {object} event
 * @param {{device: string, camera: boolean, deviceName?: string, onstar: (event) => void}} options
 */
export function card(event, options) {
  return event.kind === 'health' ? line(event) : new Card(event, options);
}

class Card {
  #event;
  #picture;
  #title = h('span', { class: 'title' });
  #ago = h('span');
  #time = h('time', { class: 'when' });
  #aside = h('span', { class: 'unseen-text' });
  #star;
  #watched = false;

  constructor(event, { device, camera, deviceName, onstar }) {
    this.#event = event;
    this.#picture = picture(event.box, '');
    const kind = family(event);
    this.#star = h(
      'button',
      { class: 'star', type: 'button', test: 'star', 'aria-pressed': 'false', onclick: () => onstar(this.#event) },
      icon('star'),
    );
    const where = [camera && event.camera, deviceName].filter(Boolean);
    const link = h(
      'a',
      { class: 'card-link', href: `#event/${device}/${event.id}` },
      this.#picture.element,
      h(
        'span',
        { class: 'card-text' },
        h('span', { class: `badge ${kind}` }, icon(kind)),
        h('span', { class: 'card-words' }, this.#title, this.#time, where.map((word) => h('span', { class: 'where' }, word)), this.#aside),
      ),
    );
    this.element = h(
      'article',
      { class: 'card', test: 'event-card', 'data-id': event.id, 'data-label': event.label, 'data-kind': event.kind },
      link,
      this.#star,
    );
    this.#time.append(this.#ago, h('span', { class: 'exact' }, ` · ${clock(event.started_ms)}`));
    this.update(event);
  }

  get event() {
    return this.#event;
  }

  /** Takes a newer form of the event. */
  update(event) {
    if (edition(event) !== edition(this.#event)) this.#watched = false;
    this.#event = event;
    const open = event.ended_ms === null;
    say(this.#title, title(event));
    this.#time.dateTime = new Date(event.started_ms).toISOString();
    this.#time.title = moment(event.started_ms);
    this.#picture.mark(event.box);
    this.element.classList.toggle('open', open);
    this.element.classList.toggle('unseen', !event.reviewed);
    say(this.#aside, event.reviewed ? '' : 'Not yet seen');
  }

  /** Tells time as of `now`. */
  tick(now) {
    say(this.#ago, ago(this.#event.started_ms, now));
  }

  /** Shows whether it is starred. */
  starred(on) {
    this.#star.setAttribute('aria-pressed', String(on));
    this.#star.setAttribute('aria-label', `${on ? 'Take the star from' : 'Star'}: ${title(this.#event)}`);
  }

  /** Fetches the picture once it comes into sight. */
  async look(fetchPicture) {
    if (this.#watched) return;
    this.#watched = true;
    const found = await fetchPicture(this.#event);
    if (found) this.#picture.show(found.url);
    else {
      this.#watched = false;
      this.#picture.miss('No picture here');
    }
  }
}

/** A health event is a quiet line between the cards. */
function line(event) {
  const when = h('time', { class: 'when', datetime: new Date(event.started_ms).toISOString(), title: moment(event.started_ms) });
  const element = h(
    'article',
    { class: `line ${event.label}`, test: 'event-card', 'data-id': event.id, 'data-label': event.label, 'data-kind': event.kind },
    icon('health'),
    h('span', { class: 'title' }, healthSentence(event)),
    when,
  );
  return {
    element,
    event,
    update() {},
    starred() {},
    look() {},
    tick: (now) => say(when, `${ago(event.started_ms, now)} · ${clock(event.started_ms)}`),
  };
}
