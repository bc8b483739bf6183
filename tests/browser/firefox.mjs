// Debian's Firefox ESR for one test, with a profile of its own, led by WebDriver BiDi.

import puppeteer from 'puppeteer-core';
import { existsSync } from 'node:fs';
import { atEnd, scratch } from './program.mjs';

const EXECUTABLE = process.env.FIREFOX ?? '/usr/bin/firefox-esr';

/** Whether there is one. */
export const hasFirefox = () => existsSync(EXECUTABLE);

/** A browser that closes when the test ends. */
export async function launchFirefox(t) {
  const folder = scratch(t);
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: EXECUTABLE,
    headless: true,
    userDataDir: `${folder}/profile`,
    env: { ...process.env, HOME: folder, XDG_CACHE_HOME: folder },
  });
  atEnd(t, () => browser.close());
  return browser;
}
