// What the card costs in QEMU, by hand: seconds to REST, memory, and what ten quiet minutes write.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { card, digest, network } from './machine.mjs';

const FULL = process.env.NIGHTJAR_FULL !== undefined;
/** The machine's memory (image/src/boot/qemu.rs) and the most that may be taken of it, KiB. */
const MEMORY_KIB = 512 * 1024;
const TAKEN_KIB = 128 * 1024;
/** Writes to data in ten minutes in which nothing happens: heartbeats, of which each is a record and the journal's. */
const HEARTBEATS = 10 * 8;

test('a card that sees nothing writes nothing but its heartbeat', { timeout: 1_200_000, skip: !FULL }, async (t) => {
  network(t);
  const box = card(t, 'figures', ['nightjar.figures']);
  const slot = digest(box.image);
  box.start();
  await box.says('figures: end', 1, 1_000_000);
  const said = (sign) => [...box.said.matchAll(new RegExp(`figures: ${sign} (.*?)\\r?\\n`, 'g'))].map((it) => it[1]);
  const [rest, handed, available] = ['rest', 'handed over', 'available KiB'].map((sign) => Number(said(sign)[0]));
  t.diagnostic(`REST answered ${(rest - handed).toFixed(1)} s after the kernel handed over, ${rest} s after it began`);
  t.diagnostic(`${((MEMORY_KIB - available) / 1024).toFixed(1)} MiB are taken, the kernel's own among them`);
  const wrote = Object.fromEntries(said('wrote').map((line) => line.split(' ')).map(([name, ...counts]) => [name, counts.map(Number)]));
  t.diagnostic(`data: ${wrote.vda7[0]} writes, ${wrote.vda7[1]} bytes in ten minutes`);
  assert.ok(MEMORY_KIB - available <= TAKEN_KIB);
  for (const name of ['vda1', 'vda2', 'vda5']) assert.equal(wrote[name][0], 0, name);
  assert.ok(wrote.vda7[0] <= HEARTBEATS);
  await box.cut();
  assert.equal(digest(box.image), slot);
});
