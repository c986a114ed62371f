import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from '@swarm/api';
import test from 'ava';
import { makePrivateFolder, makeSharedFolder } from '../../src/files/private-folder.js';
import { givenAway, OURS, testAsRoot } from '../support/owners.js';
import { folderOf, modeOf } from '../support/folder.js';

const ADVICE = 'take another';

test('a new folder is private, and one that others could enter is closed to them', (t) => {
  const folder = folderOf(t);
  const path = join(folder, 'a', 'b');
  t.is(makePrivateFolder(path, OURS, ADVICE), undefined);
  t.deepEqual([modeOf(path), modeOf(join(folder, 'a'))], [0o700, 0o700]);
  for (const mode of [0o755, 0o777, 0o711, 0o2770]) {
    chmodSync(path, mode);
    t.is(makePrivateFolder(path, OURS, ADVICE)! & 0o7777, mode);
    t.is(modeOf(path), 0o700);
  }
});

test('a file in the place of a folder is named as one, and stays', (t) => {
  const path = join(folderOf(t), 'file');
  writeFileSync(path, 'x');
  t.throws(() => makePrivateFolder(path, OURS, ADVICE), {
    ...{ instanceOf: UsageError, message: `${path} is not a folder: take another` },
  });
});

test('where the system has no room for folders, making one ends', (t) => {
  // mkdir(2) answers ENOENT there, at which a recursive mkdir of Node.js tries for ever.
  t.throws(() => makeSharedFolder('/proc/none/x'), { code: 'ENOENT' });
});

testAsRoot('a folder of another user, or a link to one, is refused and stays as it is', (t) => {
  const folder = folderOf(t);
  const path = givenAway(join(folder, 'x'), (made) => mkdirSync(made, { mode: 0o755 }));
  const link = join(folder, 'link');
  symlinkSync(path, link);
  for (const each of [path, link])
    t.throws(() => makePrivateFolder(each, OURS, ADVICE), {
      instanceOf: UsageError,
      message: /belongs to .*, not to user \d+ that runs this command: take another/,
    });
  t.is(modeOf(path), 0o755);
});

test('a shared folder can be entered whatever the umask is', (t) => {
  const folder = folderOf(t);
  const before = process.umask(0o077);
  makeSharedFolder(join(folder, 'a', 'b'));
  process.umask(before);
  t.deepEqual([modeOf(join(folder, 'a')), modeOf(join(folder, 'a', 'b'))], [0o755, 0o755]);
  t.is(modeOf(folder), 0o700);
});
