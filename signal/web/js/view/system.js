// The box below the camera program: its version and update, its Wi-Fi, its restart, its reset. Hidden where a box has none of it.
//
//   file ──► sending ──► checking ──► restarting ──► on trial ──► runs now, or the old one runs again
//               └── cancelled, or the link was lost: as before
import { updateSentence, wifiSentence } from '../words.js';
import { ask } from './dialog.js';
import { h, say, set } from './dom.js';
import { icon } from './icons.js';

const ROUTE = '/api/v1/system';
/** The box is asked for its state so often while somebody looks, ms; and while an update is under way. */
export const LOOK_EVERY_MS = 10_000;
export const WATCH_EVERY_MS = 1000;
/** States of an update that pass by themselves. */
const PASSING = ['writing', 'staged', 'trial'];

export class System {
  #app;
  #device = null;
  #connected = false;
  /** What the box said last; null until it has. */
  #state = null;
  /** The bundle on its way: {sent, total, abort}. */
  #sending = null;
  /** Why the update that was sent from here was not taken, until the box says more of it than `#known`. */
  #trouble = '';
  #known = null;
  /** All of it was sent, and the box's answer was lost. */
  #doubt = false;
  #on = false;
  /** This box has nothing below it; asked again on the next link. */
  #none = false;
  #timer = 0;
  #facts = h('dl', { class: 'facts' });
  #words = h('p', { class: 'note', role: 'status', test: 'update-words' });
  #progress = h('progress', { max: '100', 'aria-label': 'Update', test: 'update-progress' });
  #percent = h('span', { class: 'percent', test: 'update-percent' });
  #bar = h('div', { class: 'row progress', hidden: true }, this.#progress, this.#percent);
  #file = h('input', { type: 'file', hidden: true, 'aria-label': 'File of the new version', test: 'update-file', onchange: () => this.#choose() });
  #update = h('button', { type: 'button', class: 'button', test: 'update', onclick: () => this.#file.click() }, icon('up'), 'Update from a file');
  #cancel = h('button', { type: 'button', class: 'button', hidden: true, test: 'update-cancel', onclick: () => this.#sending?.abort.abort() }, 'Cancel');
  #restart = h('button', { type: 'button', class: 'button', test: 'restart', onclick: () => this.#askRestart() }, 'Restart');
  #reset = h('button', { type: 'button', class: 'button quiet', test: 'reset', onclick: () => this.#askReset() }, icon('bin'), 'Factory reset');
  #ssid = field('wifi-ssid', 'Name of the Wi-Fi', { maxlength: '32', autocapitalize: 'off' });
  #passphrase = field('wifi-passphrase', 'Passphrase, none for an open Wi-Fi', { type: 'password', required: false, minlength: '8', maxlength: '64', autocomplete: 'off' });
  #country = field('wifi-country', 'Country, two letters', { maxlength: '2', pattern: '[A-Za-z]{2}', autocapitalize: 'characters' });
  #join = h('button', { class: 'button primary', test: 'wifi-save' }, 'Join');
  #wifi;

  constructor(app) {
    this.#app = app;
    this.#country.input.value = region();
    const form = h('form', { onsubmit: (event) => this.#submit(event) }, this.#ssid.element, this.#passphrase.element, this.#country.element, h('div', { class: 'row' }, this.#join));
    this.#wifi = h('details', { class: 'more', test: 'wifi' }, h('summary', {}, 'Change the Wi-Fi'), form);
    this.element = h(
      'section',
      { class: 'panel', 'aria-label': 'The device', hidden: true, test: 'system' },
      h('h2', {}, icon('box'), 'The device'),
      this.#facts,
      this.#words,
      this.#bar,
      h('div', { class: 'row' }, this.#update, this.#cancel, this.#file),
      this.#wifi,
      h('div', { class: 'row' }, this.#restart, this.#reset),
    );
  }

  show() {
    this.#on = true;
    this.#connected = false;
    this.render();
  }

  hide() {
    this.#on = false;
    clearTimeout(this.#timer);
  }

  render() {
    const { device } = this.#app;
    if (device !== this.#device) this.#forget(device);
    const connected = Boolean(device?.connected);
    const back = connected && !this.#connected;
    this.#connected = connected;
    if (back) this.#none = false;
    if (back && this.#on) this.#look();
    this.#draw();
  }

  /** Another box is looked at: nothing of the last one stays. */
  #forget(device) {
    this.#sending?.abort.abort();
    this.#device = device;
    this.#state = this.#sending = null;
    this.#trouble = '';
    this.#connected = false;
  }

  #draw() {
    const state = this.#state;
    this.element.hidden = state === null;
    if (state === null) return;
    const { update } = state;
    const passing = this.#sending !== null || PASSING.includes(update.state);
    const facts = [['System', state.version], ['Board', state.board], ['Address', `${state.hostname}.local`], ['Wi-Fi', wifiSentence(state.wifi)]];
    if (state.trouble?.length) facts.push(['Trouble', state.trouble.join('; ')]);
    this.#facts.replaceChildren(...facts.map(([term, value]) => h('div', {}, h('dt', {}, term), h('dd', {}, value))));
    say(this.#words, this.#trouble || updateSentence(update, this.#sending));
    this.#bar.hidden = !passing;
    const share = this.#sending ? this.#sending.sent / this.#sending.total : update.state === 'writing' ? update.percent / 100 : 1;
    const percent = Math.floor(share * 100);
    set(this.#progress, 'value', share < 1 ? String(percent) : false);
    say(this.#percent, share < 1 ? `${percent} %` : '');
    this.#cancel.hidden = !this.#sending || share >= 1;
    this.#update.hidden = !this.#cancel.hidden;
    const idle = this.#connected && !passing;
    for (const button of [this.#update, this.#restart, this.#reset, this.#join]) button.disabled = !idle;
  }

  async #look() {
    clearTimeout(this.#timer);
    const device = this.#device;
    if (device.connected && !document.hidden && !this.#sending) {
      const state = await device.json(ROUTE).catch((error) => {
        if (device === this.#device && error.status === 404) this.#none = true;
        return null;
      });
      if (device !== this.#device) return;
      if (!this.#sending) this.#state = this.#none ? null : (state ?? this.#state);
      if (state && this.#trouble) this.#judge(state.update);
      this.#draw();
    }
    if (this.#none) return;
    clearTimeout(this.#timer);
    const pause = this.#sending || PASSING.includes(this.#state?.update.state) ? WATCH_EVERY_MS : LOOK_EVERY_MS;
    if (this.#on) this.#timer = setTimeout(() => this.#look(), pause);
  }

  /** Our own words stand until the box has more to say; where they were in doubt, nothing more means no. */
  #judge(update) {
    if (update.state === 'writing') return;
    const said = JSON.stringify(update);
    this.#known ??= said;
    if (said !== this.#known) this.#trouble = '';
    else if (this.#doubt) this.#trouble = 'The link was lost, and the update was not taken.';
  }

  async #choose() {
    const [file] = this.#file.files;
    if (!file) return;
    const device = this.#device;
    const sending = { sent: 0, total: file.size, abort: new AbortController() };
    this.#sending = sending;
    const before = JSON.stringify(this.#state?.update);
    this.#trouble = '';
    this.#doubt = false;
    this.#draw();
    this.#cancel.focus();
    const onsent = (bytes) => {
      sending.sent = bytes;
      if (device === this.#device) this.#draw();
    };
    const trouble = await this.#send(device, file, sending, onsent);
    if (device !== this.#device) return;
    this.#sending = null;
    this.#file.value = '';
    this.#trouble = trouble;
    this.#known = this.#doubt ? before : null;
    this.#draw();
    this.#update.focus();
    if (this.#on) this.#look();
  }

  /** Hands the file over; in words why it was not taken, or nothing. */
  async #send(device, file, sending, onsent) {
    try {
      const { version } = await device.json(`${ROUTE}/update`, { method: 'PUT', body: file, signal: sending.abort.signal, onsent });
      this.#state = { ...this.#state, update: { state: 'staged', version, percent: 100, why: null } };
      return '';
    } catch (error) {
      if (error.name === 'AbortError') return 'Cancelled. The box is as it was.';
      this.#doubt = sending.sent === sending.total && ['lost', 'broken'].includes(error.reason);
      if (this.#doubt) return 'All of it was sent, and the link was lost. Whether the box took it shows when it is back.';
      return `The update was not taken: ${error.message}`;
    }
  }

  async #submit(event) {
    event.preventDefault();
    const [ssid, passphrase, country] = [this.#ssid, this.#passphrase, this.#country].map(({ input }) => input.value);
    const done = await this.#do('PUT', 'wifi', { ssid, passphrase, country: country.toUpperCase() });
    if (!done) return;
    this.#passphrase.input.value = '';
    this.#wifi.open = false;
    this.#app.notices.tell(`The box joins ${ssid}`);
    this.#look();
  }

  async #askRestart() {
    const text = 'It watches again after about a minute.';
    if (!(await ask({ title: 'Restart the box?', text, yes: 'Restart' }))) return;
    if (await this.#do('POST', 'restart')) this.#app.notices.tell('The box restarts');
  }

  async #askReset() {
    const { name } = this.#device;
    const text = 'Its events, pictures, paired phones and settings are gone for good; the system itself stays. Favourites stay on this phone.';
    const typed = { label: `To go on, type the name of the box: ${name}`, text: name };
    if (!(await ask({ title: 'Forget everything?', text, yes: 'Factory reset', danger: true, typed }))) return;
    if (await this.#do('POST', 'reset', { confirm: name })) this.#app.notices.tell('The box forgets everything and restarts');
  }

  /** Whether the box did it; why not is told. */
  async #do(method, what, body) {
    try {
      await this.#device.send(method, `${ROUTE}/${what}`, body);
      return true;
    } catch (error) {
      this.#app.notices.trouble(`The box did not do it: ${error.message}`);
      return false;
    }
  }
}

/** A labelled input. */
function field(id, label, properties) {
  const input = h('input', { id, required: true, spellcheck: 'false', autocomplete: 'off', ...properties });
  return { input, element: h('div', { class: 'field' }, h('label', { for: id }, label), input) };
}

/** The country this browser is set to, as a first guess. */
function region() {
  try {
    return new Intl.Locale(navigator.language).maximize().region ?? '';
  } catch {
    return '';
  }
}
