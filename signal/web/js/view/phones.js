// The phones paired with the box: who they are, taking one off, and opening the door for another.
import { ago, countdown } from '../words.js';
import { ask } from './dialog.js';
import { arrange, h, say } from './dom.js';
import { icon } from './icons.js';

export class Phones {
  #app;
  #list = h('ul', { class: 'rows', 'aria-label': 'Paired phones' });
  #door = h('div', { class: 'door', 'aria-live': 'polite' });
  #add;
  #until_ms = 0;
  #timer = 0;
  #known = [];
  #on = false;
  #connected = false;
  #device = null;

  constructor(app) {
    this.#app = app;
    this.#add = h('button', { type: 'button', class: 'button', test: 'add-phone', onclick: () => this.#open() }, icon('plus'), 'Add a phone');
    this.element = h('section', { class: 'panel', 'aria-label': 'Phones' }, h('h2', {}, icon('phone'), 'Phones'), this.#list, this.#door, h('div', { class: 'row' }, this.#add));
  }

  show() {
    this.#on = true;
    this.#connected = false;
    this.render();
  }

  hide() {
    this.#on = false;
    clearInterval(this.#timer);
    this.#timer = 0;
  }

  render() {
    if (this.#app.device !== this.#device) this.#forget();
    const connected = Boolean(this.#device?.connected);
    this.#add.disabled = !connected;
    if (this.#on && connected && !this.#connected) this.#read();
    this.#connected = connected;
    if (!connected && this.#known.length === 0) this.#list.replaceChildren(h('li', { class: 'detail' }, 'Shown when the box is connected.'));
    if (this.#until_ms > Date.now() && this.#on && !this.#timer) this.#count();
  }

  /** Another box is looked at: nothing of the last one stays. */
  #forget() {
    this.#device = this.#app.device;
    this.#known = [];
    this.#until_ms = 0;
    this.#connected = false;
    clearInterval(this.#timer);
    this.#timer = 0;
    this.#list.replaceChildren();
    this.#door.replaceChildren();
  }

  async #read() {
    const device = this.#device;
    try {
      const known = await device.json('/api/v1/clients');
      if (device !== this.#device) return;
      this.#known = known;
      arrange(this.#list, known.map((client) => this.#row(device, client)));
    } catch {
      if (device !== this.#device) return;
      this.#list.replaceChildren(h('li', { class: 'detail' }, 'The list could not be read.'));
    }
  }

  #row(device, client) {
    const used = client.last_used_ms ? `Last seen ${ago(client.last_used_ms, Date.now())}` : 'Not seen yet';
    return h(
      'li',
      { class: 'row-item', test: 'phone', 'data-id': client.id },
      h('span', { class: 'row-words' }, h('strong', {}, client.name || 'Phone'), h('span', {}, client.this ? 'This phone' : used)),
      h('button', { type: 'button', class: 'button quiet', test: 'revoke', 'aria-label': `Remove ${client.name}`, onclick: () => this.#revoke(device, client) }, 'Remove'),
    );
  }

  async #revoke(device, client) {
    const text = client.this
      ? 'This very phone loses its access at once. What it has saved stays on it.'
      : 'It loses its access at once. What it has saved stays on it.';
    if (!(await ask({ title: `Remove ${client.name || 'this phone'}?`, text, yes: 'Remove', danger: true }))) return;
    try {
      await device.send('DELETE', `/api/v1/clients/${client.id}`);
      this.#app.notices.tell(`${client.name || 'The phone'} was removed`);
    } catch (error) {
      this.#app.notices.trouble(`It was not removed: ${error.message}`);
    }
    if (device === this.#device) this.#read();
  }

  async #open() {
    const device = this.#device;
    try {
      const { until_ms } = await device.send('POST', '/api/v1/pairing');
      if (device !== this.#device) return;
      this.#until_ms = until_ms;
      this.#count();
    } catch (error) {
      this.#app.notices.trouble(`Pairing could not be opened: ${error.message}`);
    }
  }

  #count() {
    clearInterval(this.#timer);
    const left = h('strong', { class: 'countdown', role: 'timer', test: 'countdown' });
    const address = this.#app.signal.replace(/^https?:\/\//, '').replace(/\/$/, '');
    const link = `${this.#app.signal}#device=${this.#device.id}`;
    this.#door.replaceChildren(
      h(
        'div',
        { class: 'door-open', test: 'pairing-open' },
        left,
        h('p', {}, 'The door is open. On the other phone, in this Wi-Fi, open ', h('strong', {}, address), ' and tap Pair. Anywhere else, send it the link.'),
        h('button', { type: 'button', class: 'button', test: 'copy-link', onclick: () => this.#copy(link) }, icon('link'), 'Copy link'),
      ),
    );
    const tick = () => {
      const ms = this.#until_ms - Date.now();
      if (ms > 0) say(left, countdown(ms));
      else this.#close();
    };
    this.#timer = setInterval(tick, 1000);
    tick();
  }

  #close() {
    clearInterval(this.#timer);
    this.#timer = 0;
    this.#door.replaceChildren();
    if (this.#device?.connected) this.#read();
  }

  async #copy(link) {
    try {
      if (navigator.share) await navigator.share({ url: link });
      else await navigator.clipboard.writeText(link);
      this.#app.notices.tell('Link ready to send');
    } catch {
      this.#app.notices.tell(link);
    }
  }
}
