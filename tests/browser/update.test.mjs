// `nightjar update` against the shipped server and edge: pairs once, streams whole, tells what comes of it, and why not.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Box } from './box.mjs';
import { ask, eventually, nightjar, scratch, startEdge, startSignal } from './program.mjs';

/** A signed update to this version of 8 MiB and more. */
async function bundle(folder, version) {
  const [out, key] = [join(folder, `${version}.nightjar`), join(folder, version)];
  const [boot, root] = ['boot', 'root'].map((name) => join(folder, name));
  writeFileSync(boot, randomBytes(1 << 20));
  writeFileSync(root, randomBytes((8 << 20) + 1));
  const words = ['bundle', '--board', 'qemu-arm64', '--version', version, '--boot', boot, '--root', root, '--key', `${key}.key`, '--out', out];
  for (const args of [['key', 'new', '--out', key], words]) {
    const { code, said } = await nightjar(args);
    assert.equal(code, 0, said);
  }
  return out;
}

test('a computer in the network updates the box', { timeout: 180_000 }, async (t) => {
  const [signal, data] = [await startSignal(t), scratch(t)];
  const path = join(data, 'box.sock');
  const box = await Box.listen(t, path);
  const edge = await startEdge(t, { signal, data, args: ['--box', path] });
  const config = join(data, 'config');
  const run = (file) => nightjar(['update', file, '--signal', `http://127.0.0.1:${signal.port()}`], { XDG_CONFIG_HOME: config });

  // The box may not be in its room yet; and its first place is a phone's.
  const file = await bundle(data, '0.2.0');
  let early;
  await eventually('the box to be found', async () => !/no box is at/.test((early = await run(file)).said));
  assert.deepEqual([early.code, /pair one first/.test(early.said)], [1, true], early.said);
  await ask(edge, '/api/v1/pair', { name: 'phone' });
  const stranger = await run(file);
  assert.deepEqual([stranger.code, /let it in from a paired phone/.test(stranger.said)], [1, true], stranger.said);
  await ask(edge, '/api/v1/pairing', {});
  const running = run(file);
  await eventually('the update to be staged', () => box.state.update.state === 'staged', 60_000);
  assert.equal(box.bundle.sha256, createHash('sha256').update(readFileSync(file)).digest('hex'));
  box.state.version = '0.2.0';
  box.update('committed', { version: '0.2.0' });
  const first = await running;
  assert.equal(first.code, 0, first.said);
  assert.match(first.said, /is paired with the box from now on/);
  assert.match(first.said, /100 %.* MB\/s/);
  assert.match(first.said, /Version 0\.2\.0 runs now, and stays/);
  const kept = join(config, 'nightjar/boxes');
  assert.equal(statSync(kept).mode & 0o777, 0o700);

  const again = await run(file);
  assert.deepEqual([again.code, /runs there already/.test(again.said)], [0, true], again.said);
  assert.doesNotMatch(again.said, /paired/, 'once is enough');

  box.judge = () => ({ error: { code: 'older', message: 'this version is older' } });
  const older = await run(await bundle(data, '0.1.0'));
  assert.deepEqual([older.code, /the box says no: this version is older/.test(older.said)], [1, true], older.said);
});
