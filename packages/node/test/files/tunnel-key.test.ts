import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '@swarm/api';
import test from 'ava';
import { openTunnelKey, TUNNEL_KEY_AGE_MS } from '../../src/files/tunnel-key.js';

const folder = mkdtempSync(join(tmpdir(), 'swarm-tunnel-key-'));
const file = join(folder, 'tunnel-key.json');
const open = (nowMs: number) => openTunnelKey(folder, nowMs, silentLogger);

test.after.always(() => rmSync(folder, { recursive: true }));

test.serial('a node keeps its key, which only its user can read', async (t) => {
  const made = await open(1000);
  t.is(Buffer.from(made.publicKey, 'base64').length, 32);
  t.is(made.privateKey.length, 32);
  t.is(statSync(file).mode & 0o777, 0o600);
  t.false(readFileSync(file, 'utf8').includes(made.publicKey));
  t.deepEqual(await open(1000 + TUNNEL_KEY_AGE_MS - 1), made);
});

test.serial('an old key gives way to another', async (t) => {
  const before = await open(1000);
  const after = await open(1000 + TUNNEL_KEY_AGE_MS);
  t.not(after.publicKey, before.publicKey);
  t.deepEqual(await open(1000 + TUNNEL_KEY_AGE_MS), after);
});

test.serial('so does one that a clock of the future made, and a damaged one', async (t) => {
  const before = await open(5 * TUNNEL_KEY_AGE_MS);
  const after = await open(1000);
  t.not(after.publicKey, before.publicKey);
  for (const text of ['', '{}', '{"privateKey":"x","madeAtMs":1000}']) {
    writeFileSync(file, text);
    t.not((await open(1000)).publicKey, after.publicKey);
  }
});
