// An offer to install the page as an app, where the browser has one to make.
import { h } from './dom.js';
import { icon } from './icons.js';

/** A panel that shows itself once the browser is ready to install. */
export function install() {
  let offer = null;
  const button = h('button', { type: 'button', class: 'button primary', test: 'install', onclick: () => offer?.prompt() }, 'Install');
  const element = h(
    'section',
    { class: 'panel calm', hidden: true, 'aria-label': 'Install' },
    h('h2', {}, icon('phone'), 'Keep it at hand'),
    h('p', {}, 'Installed, Nightjar opens like any app and starts without a network.'),
    h('div', { class: 'row' }, button),
  );
  addEventListener('beforeinstallprompt', (event) => {
    event.preventDefault();
    offer = event;
    element.hidden = false;
  });
  addEventListener('appinstalled', () => (element.hidden = true));
  return element;
}
