// The system's Chromium for one test, with a profile of its own.

import puppeteer from 'puppeteer-core';
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { atEnd, scratch } from './program.mjs';

const SCREENSHOTS = fileURLToPath(new URL('./screenshots/', import.meta.url));
const QUIET = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage',
];

/** A browser that closes when the test ends. `enter` are words before the command, as a lab's hosts have them. */
export async function launch(t, args = [], enter = []) {
  const folder = scratch(t);
  let executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  if (enter.length > 0) {
    const entry = `${folder}/enter`;
    writeFileSync(entry, `#!/bin/sh\nexec ${enter.join(' ')} ${executablePath} "$@"\n`, { mode: 0o755 });
    executablePath = entry;
  }
  const browser = await puppeteer.launch({
    executablePath,
    headless: true,
    userDataDir: `${folder}/profile`,
    pipe: true, // reaches into any network
    args: [...QUIET, ...args],
  });
  atEnd(t, () => browser.close());
  return browser;
}

/** A phone-sized page; what goes wrong in it is in `page.trouble`. */
export async function open(browser, url) {
  const page = await browser.newPage();
  page.trouble = [];
  page.on('pageerror', (error) => page.trouble.push(String(error?.stack ?? error)));
  page.on('console', (message) => {
    if (message.type() === 'error') page.trouble.push(message.text());
  });
  await page.setViewport({ width: 412, height: 915, deviceScaleFactor: 2, isMobile: true, hasTouch: true });
  await page.goto(url, { waitUntil: 'domcontentloaded' });
  return page;
}

/** What a page shows and what went wrong in it, for the one who reads a failed test. */
export async function confess(page, name) {
  await picture(page, `${name}-failed`);
  const text = await page.evaluate('document.body.innerText');
  return `the page at ${page.url()} shows:\n${text}\nand complained:\n${page.trouble.join('\n')}`;
}

/** A picture for people to look at; the folder is ignored by git. */
export async function picture(page, name) {
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: `${SCREENSHOTS}${name}.png` });
}

/** The part of the page that carries this name for tests. */
export const named = (name) => `[data-testid="${name}"]`;

/** Waits until it is visible and presses it as a finger would. */
export async function press(page, selector) {
  await page.locator(selector).click();
}
