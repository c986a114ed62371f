import { mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApiError } from '@swarm/api';
import test from 'ava';
import { loadNodeIdentity, saveNodeIdentity } from '@swarm/identity';
import { identity, root } from './cluster.js';

const NOW = Date.UTC(2026, 5, 1);

test('an identity is read back as it was saved, in files for the owner only', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'swarm-identity-'));
  t.teardown(() => rm(folder, { recursive: true }));
  t.is(await loadNodeIdentity(folder), undefined);
  const saved = await identity(await root(NOW), NOW);
  await saveNodeIdentity(folder, saved);
  t.deepEqual(await loadNodeIdentity(folder), saved);
  const files = await readdir(folder);
  t.deepEqual(files.sort(), ['swarm-node.crt', 'swarm-node.key', 'swarm-root-ca.crt']);
  for (const file of files) t.is((await stat(join(folder, file))).mode & 0o777, 0o600);
});

test('a crash between the two renames of a renewal leaves the new identity', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'swarm-identity-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const authority = await root(NOW);
  const [old, renewed] = [await identity(authority, NOW), await identity(authority, NOW)];
  await saveNodeIdentity(folder, renewed);
  await rename(join(folder, 'swarm-node.key'), join(folder, 'swarm-node.key.next'));
  await writeFile(join(folder, 'swarm-node.key'), old.key);
  t.deepEqual(await loadNodeIdentity(folder), renewed);
  t.is(await readFile(join(folder, 'swarm-node.key'), 'utf8'), renewed.key);
});

test('a key that is not the certificate’s, or no key at all, is named with what to do', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'swarm-identity-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const authority = await root(NOW);
  await saveNodeIdentity(folder, await identity(authority, NOW));
  await writeFile(join(folder, 'swarm-node.key'), (await identity(authority, NOW)).key);
  const message = /swarm leave --force/;
  await t.throwsAsync(loadNodeIdentity(folder), { instanceOf: ApiError, message });
  await writeFile(join(folder, 'swarm-node.key'), 'garbage');
  await t.throwsAsync(loadNodeIdentity(folder), { instanceOf: ApiError, message });
});
