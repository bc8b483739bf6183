// `nightjar update` against the shipped server and edge: pairs once, streams whole, tells what comes of it, and why not.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { Box } from './box.mjs';
import { eventually, scratch, startEdge, startSignal } from './program.mjs';

const TOP = resolve(import.meta.dirname, '../..');
const NIGHTJAR = resolve(TOP, process.env.CARGO_TARGET_DIR ?? 'target', 'release/nightjar');

/** A signed update to this version of 8 MiB and more. */
function bundle(folder, version) {
  const [out, key] = [join(folder, `${version}.nightjar`), join(folder, version)];
  const [boot, root] = ['boot', 'root'].map((name) => join(folder, name));
  writeFileSync(boot, randomBytes(1 << 20));
  writeFileSync(root, randomBytes((8 << 20) + 1));
  const words = ['bundle', '--board', 'qemu-arm64', '--version', version, '--boot', boot, '--root', root, '--key', `${key}.key`, '--out', out];
  for (const args of [['key', 'new', '--out', key], words]) {
    const done = spawnSync(NIGHTJAR, args, { encoding: 'utf8' });
    assert.equal(done.status, 0, done.stderr);
  }
  return out;
}

test('a computer in the network updates the box', { timeout: 180_000 }, async (t) => {
  const [signal, data] = [await startSignal(t), scratch(t)];
  const path = join(data, 'box.sock');
  const box = await Box.listen(t, path);
  await startEdge(t, { signal, data, args: ['--box', path] });
  const env = { ...process.env, XDG_CONFIG_HOME: join(data, 'config') };
  const run = async (file) => {
    const child = spawn(NIGHTJAR, ['update', file, '--signal', `http://127.0.0.1:${signal.port()}`], { env });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (some) => (said += some));
    const [code] = await once(child, 'close');
    return { code, said };
  };

  // The box may not be in its room yet.
  const file = bundle(data, '0.2.0');
  let first;
  const over = eventually('the box to be found', async () => !/no box is at/.test((first = await run(file)).said));
  await eventually('the update to be staged', () => box.state.update.state === 'staged', 60_000);
  assert.equal(box.bundle.sha256, createHash('sha256').update(readFileSync(file)).digest('hex'));
  box.state.version = '0.2.0';
  box.update('committed', { version: '0.2.0' });
  await over;
  assert.equal(first.code, 0, first.said);
  assert.match(first.said, /is paired with the box from now on/);
  assert.match(first.said, /100 %.* MB\/s/);
  assert.match(first.said, /Version 0\.2\.0 runs now, and stays/);
  const kept = join(env.XDG_CONFIG_HOME, 'nightjar/boxes');
  assert.equal(statSync(kept).mode & 0o777, 0o700);

  const again = await run(file);
  assert.deepEqual([again.code, /runs there already/.test(again.said)], [0, true], again.said);
  assert.doesNotMatch(again.said, /paired/, 'once is enough');

  box.judge = () => ({ error: { code: 'older', message: 'this version is older' } });
  const older = await run(bundle(data, '0.1.0'));
  assert.deepEqual([older.code, /the box says no: this version is older/.test(older.said)], [1, true], older.said);

  const stranger = { ...env, XDG_CONFIG_HOME: join(data, 'another') };
  const refused = spawn(NIGHTJAR, ['update', file, '--signal', `http://127.0.0.1:${signal.port()}`], { env: stranger });
  let said = '';
  refused.stderr.on('data', (some) => (said += some));
  assert.deepEqual(await once(refused, 'close'), [1, null]);
  assert.match(said, /let it in from a paired phone/);
});
