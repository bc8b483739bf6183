// What the page ships: every file is in the offline cache, paths are relative, and nothing is inline.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';

const web = new URL('../../signal/web/', import.meta.url);
const read = (path) => readFileSync(new URL(path, web), 'utf8');
const files = readdirSync(web, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => `${entry.parentPath ?? entry.path}/${entry.name}`.split('/signal/web/')[1].replace(/^\//, ''));

test('the service worker keeps every module and style', () => {
  const kept = read('sw.js').match(/const FILES = \[([^\]]*)\]/)[1].match(/'[^']+'/g).map((text) => text.slice(1, -1));
  const needed = files.filter((file) => /\.(js|css|webmanifest)$/.test(file) && file !== 'sw.js');
  for (const file of needed) assert.ok(kept.includes(file), `${file} is not kept offline`);
  for (const file of kept) assert.ok(file === './' || files.includes(file), `${file} is kept and does not exist`);
});

test('the manifest names icons that exist', () => {
  const manifest = JSON.parse(read('manifest.webmanifest'));
  for (const { src } of manifest.icons) assert.ok(files.includes(src), src);
  const has = (sizes, purpose) => manifest.icons.some((icon) => icon.sizes === sizes && icon.purpose === purpose);
  assert.ok(has('192x192', 'any') && has('512x512', 'any') && has('512x512', 'maskable'));
});

test('the page works under any path and a strict policy', () => {
  const page = read('index.html');
  assert.doesNotMatch(page, /(src|href)="\//, 'absolute paths');
  assert.doesNotMatch(page, /<style|style="|<script>|\son[a-z]+="/, 'inline styles or scripts');
  for (const file of files.filter((name) => name.endsWith('.js'))) {
    const source = read(file);
    assert.match(source, /^\/\/ [A-Z]/, `${file} begins by saying what it is for`);
    assert.doesNotMatch(source, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/, file);
    assert.doesNotMatch(source, /console\./, file);
  }
});

test('one file makes peer connections, one opens sockets', () => {
  const having = (pattern) => files.filter((file) => file.endsWith('.js') && pattern.test(read(file)));
  assert.deepEqual(having(/new RTCPeerConnection/), ['js/link/rtc.js']);
  assert.deepEqual(having(/new WebSocket/), ['js/link/signaling.js']);
  assert.deepEqual(having(/indexedDB/), ['js/store.js']);
});
