// A page of another origin with an unmodified PeerJS in it.

import { readFileSync } from 'node:fs';
import { launch, open } from './chromium.mjs';
import { serve } from './static.mjs';

const here = (name) => readFileSync(new URL(name, import.meta.url));

/** With that version, in a browser of its own or in that one. */
export async function pageWith(t, version, browser) {
  const origin = await serve(t, {
    '/': {
      type: 'text/html',
      body: '<!doctype html><title>PeerJS</title><script src="/peerjs.js"></script>',
    },
    '/peerjs.js': {
      type: 'text/javascript',
      body: here(`./node_modules/peerjs-${version}/dist/peerjs.min.js`),
    },
    '/peerfetch.mjs': { type: 'text/javascript', body: here('./peerfetch.mjs') },
    '/favicon.ico': { type: 'image/x-icon', body: '' },
  });
  const page = await open(browser ?? (await launch(t)), `${origin}/`);
  await page.waitForFunction('typeof Peer === "function"');
  return page;
}
