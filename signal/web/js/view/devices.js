// The boxes this phone knows: look at another, forget one, add one.
import { ask } from './dialog.js';
import { arrange, h } from './dom.js';
import { icon } from './icons.js';

export class Devices {
  #app;
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
    arrange(this.#list, this.#app.records.map((record) => this.#row(record)));
  }

  #row(record) {
    const here = record.id === this.#app.device?.id;
    const name = record.name || 'Nightjar box';
    return h(
      'li',
      { class: 'row-item', test: 'known-device', 'data-id': record.id },
      h('span', { class: 'row-words' }, h('strong', {}, name), h('span', {}, here ? 'Shown now' : 'Paired')),
      here ? null : h('button', { type: 'button', class: 'button quiet', test: 'look', onclick: () => this.#app.look(record.id) }, 'Open'),
      h('button', { type: 'button', class: 'button quiet', test: 'forget', 'aria-label': `Forget ${name}`, onclick: () => this.#forget(record, name) }, 'Forget'),
    );
  }

  async #forget(record, name) {
    const text = 'Its saved timeline goes from this phone; favourites stay. The box itself keeps everything. To come back, pair again.';
    if (!(await ask({ title: `Forget ${name}?`, text, yes: 'Forget', danger: true }))) return;
    await this.#app.forget(record.id);
    this.#app.notices.tell(`${name} is forgotten`);
    if (this.#app.records.length === 0) location.hash = '#add';
  }
}
