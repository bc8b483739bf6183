// The cameras of the box: what each sees now, and how it is.
import { Live } from './live.js';
import { arrange, h, say } from './dom.js';
import { icon } from './icons.js';

const STATES = { running: 'Watching', starting: 'Starting', lost: 'Lost' };

export class Cameras {
  element = h('section', { class: 'cameras', 'aria-label': 'Cameras' });
  #app;
  #on = false;
  #device = null;
  #shown = new Map();
  #notice = h('div', { class: 'panel calm', hidden: true, test: 'motion-only' });

  constructor(app) {
    this.#app = app;
    this.#notice.append(
      h('h2', {}, icon('motion'), 'Motion only'),
      h('p', {}, 'The box has no model to tell people from cats, so it reports that something moved. On the box, ', h('code', {}, 'nightjar model fetch'), ' brings one.'),
    );
  }

  render() {
    const { device } = this.#app;
    if (device !== this.#device) this.#forget(device);
    const status = device?.status;
    const cameras = status?.cameras ?? [];
    this.#notice.hidden = !status || status.model !== null || cameras.length === 0;
    const nodes = cameras.map((camera) => this.#camera(camera));
    if (status && cameras.length === 0) nodes.push(noCamera());
    arrange(this.element, [...nodes, this.#notice]);
  }

  #forget(device) {
    for (const { live } of this.#shown.values()) live.hide();
    this.#shown.clear();
    this.#device = device;
  }

  #camera(camera) {
    let shown = this.#shown.get(camera.name);
    if (!shown) {
      shown = this.#make(camera);
      this.#shown.set(camera.name, shown);
    }
    const connected = this.#app.device.connected;
    const state = connected ? camera.state : 'away';
    shown.pill.className = `pill ${state}`;
    say(shown.pill, connected ? (STATES[camera.state] ?? camera.state) : 'Box away');
    const facts = camera.state === 'running' && connected ? `${camera.width} × ${camera.height}, ${Number(camera.fps ?? 0).toFixed(camera.fps < 10 ? 1 : 0)} pictures a second` : '';
    say(shown.detail, camera.state === 'lost' ? camera.message || 'The camera does not answer. The box keeps trying.' : facts);
    return shown.element;
  }

  #make({ name }) {
    const live = new Live(this.#app.device, name);
    if (this.#on) live.show();
    const pill = h('span', { class: 'pill' });
    const detail = h('p', { class: 'detail' });
    const element = h(
      'article',
      { class: 'camera', test: 'camera', 'data-name': name },
      live.element,
      h('div', { class: 'camera-words' }, h('h2', {}, name), pill, detail),
    );
    return { element, live, pill, detail };
  }

  show() {
    this.#on = true;
    for (const { live } of this.#shown.values()) live.show();
  }

  hide() {
    this.#on = false;
    for (const { live } of this.#shown.values()) live.hide();
  }
}

function noCamera() {
  return h('div', { class: 'panel calm' }, h('h2', {}, icon('camera'), 'No camera'), h('p', {}, 'The box found no camera. Plug one in, and it begins to watch by itself.'));
}
