// The card on a radio: three virtual ones in QEMU, of which two are access points. Wi-Fi from
// nightjar.toml, a wrong passphrase, another network by the box's socket.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { atEnd, eventually, scratch } from '../browser/program.mjs';
import { BUILT, Card, GUEST, NIGHTJAR, network } from './machine.mjs';

const FULL = process.env.NIGHTJAR_FULL !== undefined;
const HOME = { ssid: 'Home', passphrase: 'the porch light' };
const BACK = 'wrong passphrase; back on the former network';
const LOFT = { ssid: 'Loft', passphrase: 'owls in the loft' };

/** A card with radios, flashed as its owner would. */
function flashed(t, { ssid, passphrase }) {
  const folder = scratch(t);
  const [image, secret] = ['card.img', 'secret'].map((name) => join(folder, name));
  writeFileSync(secret, `${passphrase}\n`);
  const words = ['--file', image, '--yes', '--wifi', ssid, '--passphrase-file', secret, '--country', 'DE'];
  const done = spawnSync(NIGHTJAR, ['flash', join(BUILT, 'radio.img'), ...words], { encoding: 'utf8' });
  assert.equal(done.status, 0, done.stderr);
  const box = new Card(image, 'wifi');
  atEnd(t, () => box.cut().catch(() => {}));
  return box;
}

/** What a shell on the card prints. */
function shell(script) {
  return new Promise((done, failed) => {
    let said = '';
    const line = connect(7000, GUEST, () => line.end(`${script}\n`));
    line.setEncoding('utf8').on('data', (text) => { said += text; });
    line.on('end', () => done(said)).on('error', failed).setTimeout(120_000, () => line.destroy(new Error('the shell is silent')));
  });
}

/** The same, of a card that may not listen yet. */
async function ask(script) {
  let said = '';
  await eventually(`an answer to ${script}`, async () => {
    said = await shell(script).catch(() => '');
    return said !== '';
  }, 120_000);
  return said;
}

const request = (what) => ask(`ask '${JSON.stringify(what)}'`).then(JSON.parse);
const change = async (wifi) => assert.deepEqual(await request({ do: 'wifi', country: 'DE', ...wifi }), { ok: {} });

/** Waits until the box says so of its radio. */
async function radio(ssid, state) {
  let wifi;
  await eventually(`${ssid} to be ${state}`, async () => {
    wifi = (await request({ do: 'state' })).ok.wifi;
    return wifi?.ssid === ssid && wifi.state === state;
  }, 90_000).catch(async (error) => {
    const log = await ask('tail -n 40 /run/nightjar/log/wifi-wlan0; echo');
    throw new Error(`it is ${JSON.stringify(wifi)}\n${log}`, { cause: error });
  });
}

/** Waits for an address of this network, and none of another. */
async function leased(net) {
  let said;
  await eventually(`an address in ${net}`, async () => {
    said = await ask('ip -4 address show dev wlan0; echo');
    return [...said.matchAll(/inet (\S+)/g)].every(([, it]) => it.startsWith(net)) && said.includes(`inet ${net}`);
  }, 90_000).catch((error) => { throw new Error(said, { cause: error }); });
}

/** Changes the network by the box's socket, and waits until it is joined and no other. */
async function joins(wifi, net) {
  await change(wifi);
  await radio(wifi.ssid, 'connected');
  await leased(net);
}

test('a card on a radio', { timeout: 1_200_000, skip: !FULL }, async (t) => {
  network(t);
  const box = flashed(t, HOME);
  assert.ok(readFileSync(box.image).includes(HOME.passphrase), 'the owner\'s words are on the card before its first start');
  box.start();
  await box.answers();

  await t.test('joins the network that nightjar.toml names', async () => {
    await radio('Home', 'connected');
    await leased('10.79.1.');
  });

  await t.test('keeps the passphrase where root alone reads it', async () => {
    const toml = await ask('cat /boot/nightjar.toml');
    assert.match(toml, /ssid = "Home"/);
    assert.ok(!toml.includes(HOME.passphrase), toml);
    assert.equal(await ask('ls /boot'), 'README.txt\nautoboot.txt\nnightjar.toml\n');
    const files = `for it in $(grep -rlF '${HOME.passphrase}' /boot /data /run /var /tmp /etc/nightjar); do stat -c '%a %U %n' $it; done; echo`;
    assert.equal(await ask(files), '600 root /data/box/nightjar.toml\n600 root /run/nightjar/wpa.conf\n\n');
    // In brackets the pattern does not find itself.
    const like = `[${HOME.passphrase[0]}]${HOME.passphrase.slice(1)}`;
    const processes = `cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' '\\n' | grep -c '${like}'; dmesg | grep -c '${like}'`;
    assert.equal(await ask(processes), '0\n0\n');
    assert.ok(!box.said.includes(HOME.passphrase), 'it is on the serial line');
  });

  await t.test('tells a wrong passphrase, goes back, and joins with the right one', async () => {
    await change({ ...HOME, passphrase: 'the back door' });
    await radio('Home', BACK);
    await leased('10.79.1.');
    await joins(HOME, '10.79.1.');
  });

  await t.test('moves to another network, of WPA3', () => joins(LOFT, '10.79.2.'));

  await t.test('tells a wrong passphrase of WPA3', async () => {
    await change({ ...LOFT, passphrase: 'bats in the loft' });
    await radio('Loft', BACK);
    await leased('10.79.2.');
    await joins(HOME, '10.79.1.');
  });
});
