// Wiring: the parts of the page, the places it can be at, sleep and waking, and the service worker.
import { App } from './app.js';
import { openStore } from './store.js';
import { ask } from './view/dialog.js';
import { EventView } from './view/event.js';
import { FavouritesView } from './view/favourites.js';
import { HomeView } from './view/home.js';
import { Notices } from './view/notices.js';
import { PairView } from './view/pair.js';
import { Shell } from './view/shell.js';
import { TimelineView } from './view/timeline.js';

/** Asleep for so long, a link is taken for dead, ms. */
const ASLEEP_MS = 5000;
/** A new version is looked for so often, ms. */
const UPDATE_EVERY_MS = 3_600_000;

const signal = new URL('./', location.href).href;
const notices = new Notices();
const app = new App(signal, await openStore(), notices);
const shell = new Shell(app);
const actions = { star, remove, go: openItem, close: closeEvent };
const views = {
  timeline: new TimelineView(app, star),
  favourites: new FavouritesView(app, star),
  home: new HomeView(app),
  add: new PairView(app),
};
const viewer = new EventView(app, actions);
const root = document.getElementById('app');
let place = null;
/** Whether the page itself went to the event shown: then the way back is the history's. */
let inside = false;

root.replaceChildren(shell.element, notices.element, notices.whisperer, viewer.element);
document.getElementById('skip').addEventListener('click', (event) => {
  event.preventDefault();
  document.getElementById('main').focus();
});

app.addEventListener('state', renew);
app.addEventListener('feed', renew);
app.favourites.addEventListener('change', renew);
sleepAndWake();
if (!window.isSecureContext || !('serviceWorker' in navigator)) shell.insecure();
else serviceWorker().catch(() => {});
const lasting = await app.start();
route();
addEventListener('hashchange', () => {
  inside = true;
  route();
});
app.addEventListener('device', route);
if (!lasting) notices.trouble('This browser keeps nothing of what it is told: it has to pair again after each start.');

/** Goes where the address says: #timeline, #favourites, #home, #add, #event/{device}/{id}, #device={peer id}. */
function route() {
  const hash = readHash();
  if (hash.startsWith('device=')) return routeDevice(hash.slice('device='.length));
  if (hash.startsWith('event/')) {
    if (!place) go('timeline');
    return routeEvent(...hash.split('/').slice(1));
  }
  if (viewer.open) leaveEvent();
  return go(app.records.length === 0 && hash !== 'favourites' ? 'add' : Object.hasOwn(views, hash) ? hash : 'timeline');
}

/** What follows the #, or nothing where that is no text. */
function readHash() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return '';
  }
}

function routeDevice(id) {
  if (app.record(id)) {
    app.look(id);
    location.replace('#timeline');
  } else {
    go('add', { device: id });
  }
}

function go(id, parameters) {
  const moved = shell.place(id, views[id]);
  place = id;
  if (!moved && !parameters) return;
  scrollTo({ top: 0 });
  views[id].show(parameters);
}

function routeEvent(device, id) {
  const event = eventOf(device, id);
  if (!event) {
    location.replace(`#${place ?? 'timeline'}`);
    return;
  }
  showItem({ device, event });
}

function eventOf(device, id) {
  const known = app.device?.id === device ? app.feed.get(id) : undefined;
  return known ?? app.favourites.get(device, id)?.event;
}

function around({ device, event }) {
  return place === 'favourites' ? views.favourites.around(event.id, device) : views.timeline.around(event.id);
}

/** Shows anew what is open, as the box, the feed or a star changed it. */
function renew() {
  const { item } = viewer;
  if (!item) return;
  const { id } = item.event;
  const event = eventOf(item.device, id) ?? { ...item.event, favourite: app.favourites.has(item.device, id) };
  viewer.refresh({ ...item, event }, around(item));
}

/** Notices go where they can be reached: a modal dialog makes all around it inert. */
function speakFrom(element) {
  element.append(notices.element, notices.whisperer);
}

function showItem(item) {
  if (!viewer.open) speakFrom(viewer.element);
  viewer.show(item, around(item));
  if (app.device?.id === item.device) app.feed.review(item.event);
}

/** The next or previous event takes the place of this one in the history. */
function openItem({ device, event }) {
  history.replaceState(null, '', `#event/${device}/${event.id}`);
  showItem({ device, event });
}

function closeEvent() {
  if (inside) history.back();
  else location.replace(`#${place}`);
}

function leaveEvent() {
  const { event, device } = viewer.item;
  viewer.close();
  speakFrom(root);
  views[place].focus?.(event.id, device);
}

async function star({ device: id, event }) {
  const { favourites } = app;
  const device = app.device?.id === id ? app.device : away(id);
  const set = (favourite) => app.device?.id === id && app.feed.amend(event.id, { favourite });
  try {
    if (!favourites.has(id, event.id) && !event.favourite) {
      set(true);
      await favourites.star(device, event);
      return;
    }
    const kept = favourites.get(id, event.id);
    set(false);
    await favourites.unstar(device, event.id);
    if (place === 'favourites' && viewer.open) closeEvent();
    const undo = () => {
      set(true);
      favourites.restore(device, kept ?? { event }).catch((error) => notices.trouble(`The star could not be kept: ${error.message}`));
    };
    notices.tell('Star taken', { undo });
  } catch (error) {
    notices.trouble(`The star could not be kept: ${error.message}`);
  }
}

/** A device that is not looked at now: what is wished for it waits until it is. */
function away(id) {
  const gone = () => Promise.reject(new Error('The device is away.'));
  return { id, name: app.record(id)?.name ?? '', connected: false, send: gone, fetch: gone };
}

async function remove({ device, event }) {
  const { feed } = app;
  if (app.device?.id !== device || !app.device.connected) return;
  const kept = app.favourites.has(device, event.id);
  const question = {
    title: 'Delete a favourite?', text: 'It goes from the box. The starred copy stays on this phone.', yes: 'Delete', danger: true,
  };
  if (kept && !(await ask(question))) return;
  const hidden = feed.hide(event.id);
  if (viewer.open) closeEvent();
  const failed = (error) => notices.trouble(`It was not deleted: ${error.message}`);
  notices.tell('Event deleted', { undo: () => hidden.undo().catch(() => {}), final: () => hidden.final().catch(failed) });
}

/** A page that slept has a dead link, though nobody told it. */
function sleepAndWake() {
  let asleep_ms = 0;
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) asleep_ms = Date.now();
    else if (Date.now() - asleep_ms > ASLEEP_MS) app.device?.resume();
    else app.device?.wake();
  });
  document.addEventListener('resume', () => app.device?.resume());
  addEventListener('pageshow', ({ persisted }) => persisted && app.device?.resume());
  addEventListener('online', () => app.device?.roam());
}

async function serviceWorker() {
  const registration = await navigator.serviceWorker.register('sw.js');
  const look = () => registration.update().catch(() => {});
  setInterval(look, UPDATE_EVERY_MS);
  document.addEventListener('visibilitychange', () => document.hidden || look());
  const offer = () => {
    const { waiting } = registration;
    if (!waiting || !navigator.serviceWorker.controller) return;
    shell.offer(() => {
      navigator.serviceWorker.addEventListener('controllerchange', () => location.reload(), { once: true });
      waiting.postMessage('activate');
    });
  };
  offer();
  registration.addEventListener('updatefound', () => {
    registration.installing?.addEventListener('statechange', offer);
  });
  navigator.storage?.persist?.().catch(() => {});
}
