import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { explainAccess } from '../src/runtime/process/task-access.js';

const USER = { uid: 2_100_000_001, gid: 2_100_000_001, groups: [], home: '/tmp' };

/** A folder that is closed to others, with a file in it, and one that is open with a link to it. */
function makeFolders() {
  const root = mkdtempSync(join(process.getuid?.() === 0 ? '/srv' : homedir(), 'swarm-test-'));
  chmodSync(root, 0o755);
  const shut = join(root, 'shut');
  mkdirSync(shut);
  writeFileSync(join(shut, 'there'), '');
  chmodSync(shut, 0o700);
  symlinkSync('shut', join(root, 'link'));
  symlinkSync('loop', join(root, 'loop'));
  writeFileSync(join(root, 'own'), '');
  chmodSync(join(root, 'own'), 0o600);
  return { root, shut };
}

const explained = (path: string) => explainAccess(['/bin/cat', path], '/', USER);

test('A reason names the closed folder, but not what is in it', (t) => {
  const { root, shut } = makeFolders();
  for (const folder of [shut, join(root, 'link')]) {
    const there = explained(join(folder, 'there')) ?? '';
    t.true(there.includes(`${shut} is closed to it (mode 0700)`), there);
    t.is(explained(join(folder, 'miss'))?.replace('miss', 'there'), there);
    t.is(explained(join(folder, 'miss/more'))?.replace('miss/more', 'there'), there);
  }
  rmSync(root, { recursive: true });
});

test('A reason names a closed file; an open or missing one gives no reason', (t) => {
  const { root } = makeFolders();
  t.regex(explained(join(root, 'own')) ?? '', /own is closed to it \(mode 0600\)/);
  for (const name of [
    'nothing',
    'own/below',
    'loop',
    '../..',
    `${'x'.repeat(256)}.`,
    './'.repeat(9_999),
  ])
    t.is(explained(`${root}/${name}`), undefined, name);
  t.is(explained('/bin/sh'), undefined);
  rmSync(root, { recursive: true });
});
