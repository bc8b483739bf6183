// The boxes this phone knows: look at another, forget one, add one.
import { ask } from './dialog.js';
import { arrange, h, say } from './dom.js';
import { icon } from './icons.js';

export class Devices {
  #app;
  #rows = new Map();
  #list = h('ul', { class: 'rows', 'aria-label': 'Known boxes' });

  constructor(app) {
    this.#app = app;
    this.element = h(
      'section',
      { class: 'panel', 'aria-label': 'Boxes' },
      h('h2', {}, icon('box'), 'Boxes'),
      this.#list,
      h('div', { class: 'row' }, h('a', { class: 'button', href: '#add', test: 'add-device' }, icon('plus'), 'Add a box')),
    );
    app.addEventListener('devices', () => this.render());
  }

  render() {
    const { records } = this.#app;
    for (const id of this.#rows.keys()) if (!records.some((record) => record.id === id)) this.#rows.delete(id);
    arrange(this.#list, records.map((record) => this.#row(record)));
  }

  /** The row of a box: made once, so that focus stays where it is. */
  #row(record) {
    const row = this.#rows.get(record.id) ?? this.#make(record);
    this.#rows.set(record.id, row);
    const here = record.id === this.#app.device?.id;
    const name = nameOf(record);
    say(row.name, name);
    say(row.state, here ? 'Shown now' : 'Paired');
    row.look.hidden = here;
    row.forget.setAttribute('aria-label', `Forget ${name}`);
    return row.element;
  }

  #make({ id }) {
    const name = h('strong');
    const state = h('span');
    const look = h('button', { type: 'button', class: 'button quiet', test: 'look', onclick: () => this.#app.look(id) }, 'Open');
    const forget = h('button', { type: 'button', class: 'button quiet', test: 'forget', onclick: () => this.#forget(this.#app.record(id)) }, 'Forget');
    const words = h('span', { class: 'row-words' }, name, state);
    return { name, state, look, forget, element: h('li', { class: 'row-item', test: 'known-device', 'data-id': id }, words, look, forget) };
  }

  async #forget(record) {
    const name = nameOf(record);
    const text = 'Its saved timeline goes from this phone; favourites stay. The box itself keeps everything. To come back, pair again.';
    if (!(await ask({ title: `Forget ${name}?`, text, yes: 'Forget', danger: true }))) return;
    await this.#app.forget(record.id);
    this.#app.notices.tell(`${name} is forgotten`);
    if (this.#app.records.length === 0) location.hash = '#add';
  }
}

const nameOf = (record) => record.name || 'Nightjar box';
