// The album: every star of this phone, of all devices, from this phone's own memory.
import { h } from './dom.js';
import { List } from './list.js';
import { message } from './timeline.js';

export class FavouritesView {
  title = 'Favourites';
  #app;
  #list;
  #empty = h('div');

  constructor(app, onstar) {
    this.#app = app;
    this.#list = new List({
      picture: ({ event, device }) => this.#picture(device, event),
      starred: () => true,
      onstar,
    });
    this.element = h('section', { class: 'view', 'aria-label': 'Favourites', test: 'favourites' }, h('h1', { class: 'unseen-text' }, 'Favourites'), this.#empty, this.#list.element);
    app.favourites.addEventListener('change', () => this.#render());
    this.#render();
  }

  async #picture(device, event) {
    const { favourites, pictures } = this.#app;
    const kept = favourites.get(device, event.id);
    const blob = kept?.thumbnail ?? kept?.picture;
    return blob ? pictures.hold(`${device}/${event.id}/kept`, blob) : null;
  }

  #items() {
    const kept = this.#app.favourites.list();
    const several = new Set(kept.map(({ device }) => device)).size > 1;
    return kept.map(({ device, event, name }) => ({ device, event, camera: false, deviceName: several ? name : null }));
  }

  around(id, device) {
    const items = this.#items();
    const at = items.findIndex((item) => item.event.id === id && item.device === device);
    return { newer: items[at - 1] ?? null, older: at < 0 ? null : (items[at + 1] ?? null) };
  }

  #render() {
    const items = this.#items();
    this.#list.render(items);
    const text = 'Tap the star on a card. The picture is then kept on this phone too, even when the box is away.';
    this.#empty.replaceChildren(...(items.length ? [] : [message('star', 'No favourites yet', text)]));
  }

  show() {
    this.#list.show();
  }

  hide() {
    this.#list.hide();
  }

  focus(id, device) {
    this.#list.focus({ device, event: { id } });
  }
}
