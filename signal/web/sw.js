// The service worker: one versioned cache of the page's own files, so that it starts without a network.
// The server puts its version in place of the word below; another version is another cache. It never takes over by
// itself: the page offers the new version and then says `activate`.

const VERSION = '__VERSION__';
const PREFIX = `nightjar ${self.registration.scope} `;
const CACHE = PREFIX + VERSION;

const FILES = [
  './', 'app.css', 'link.js', 'manifest.webmanifest',
  'icons/hero.svg', 'icons/icon.svg', 'icons/icon-192.png',
  'js/app.js', 'js/device.js', 'js/favourites.js', 'js/feed.js', 'js/link/ahead.js', 'js/link/error.js',
  'js/link/partials.js', 'js/link/requester.js', 'js/link/rtc.js', 'js/link/signaling.js', 'js/link/wire.js',
  'js/main.js', 'js/pictures.js', 'js/store.js', 'js/timeline.js', 'js/view/cameras.js', 'js/view/card.js',
  'js/view/devices.js', 'js/view/dialog.js', 'js/view/dom.js', 'js/view/event.js', 'js/view/favourites.js',
  'js/view/home.js', 'js/view/icons.js', 'js/view/install.js', 'js/view/list.js', 'js/view/live.js',
  'js/view/notices.js', 'js/view/pair.js', 'js/view/phones.js', 'js/view/picture.js', 'js/view/shell.js',
  'js/view/system.js', 'js/view/timeline.js', 'js/wishes.js', 'js/words.js',
];

/** The server answers './' with the page only to those who name text/html; to others it speaks PeerJS's JSON. */
function asked(file) {
  return new Request(file, { cache: 'reload', headers: file === './' ? { accept: 'text/html' } : {} });
}

self.addEventListener('install', (event) => {
  event.waitUntil(
    caches.open(CACHE).then((cache) => cache.addAll(FILES.map(asked))),
  );
});

self.addEventListener('activate', (event) => {
  event.waitUntil(
    caches.keys().then((names) => {
      const old = names.filter((name) => name.startsWith(PREFIX) && name !== CACHE);
      return Promise.all(old.map((name) => caches.delete(name)));
    }),
  );
});

self.addEventListener('message', ({ data }) => {
  if (data === 'activate') self.skipWaiting();
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method !== 'GET' || !request.url.startsWith(self.registration.scope)) return;
  const below = request.url.slice(self.registration.scope.length).replace(/[?#].*/, '');
  const path = request.mode === 'navigate' && below === '' ? './' : below;
  if (!FILES.includes(path)) return;
  event.respondWith(
    caches
      .open(CACHE)
      .then((cache) => cache.match(new URL(path, self.registration.scope), { ignoreVary: true }))
      .then((kept) => kept ?? fetch(request)),
  );
});
