import { chmodSync, linkSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { silentLogger, UsageError } from '@swarm/api';
import test, { type ExecutionContext } from 'ava';
import { makeSocketFolder, openDataRoot } from '../../src/files/data-root.js';
import { repairModes } from '../../src/files/repair-modes.js';
import { givenAway, OURS, testAsRoot } from '../support/owners.js';
import { folderOf, modeOf } from '../support/folder.js';

/** A data root as earlier versions left it, whatever the umask. */
function oldDataRoot(t: ExecutionContext): string {
  const root = join(folderOf(t), 'data');
  const folders = ['', 'raft', 'raft/log', 'worker', 'tasks', 'tasks/t1'];
  const files = ['node.json', 'raft/log/000003.log', 'worker/managers.json', 'tasks/t1/stdout'];
  for (const name of folders) {
    mkdirSync(join(root, name));
    chmodSync(join(root, name), 0o755);
  }
  for (const name of files) {
    writeFileSync(join(root, name), 'secret');
    chmodSync(join(root, name), 0o644);
  }
  return root;
}

function recording(lines: string[]) {
  const write = (fields: object, message: string) =>
    void lines.push(`${message} ${JSON.stringify(fields)}`);
  return { ...silentLogger, info: write, warn: write };
}

test('files of a node that others could read are closed to them, those of tasks are left alone', (t) => {
  const root = oldDataRoot(t);
  const log: string[] = [];
  openDataRoot(root, OURS, recording(log));
  for (const name of ['', 'raft', 'raft/log', 'worker']) t.is(modeOf(root, name), 0o700, name);
  for (const name of ['node.json', 'raft/log/000003.log', 'worker/managers.json'])
    t.is(modeOf(root, name), 0o600, name);
  t.is(modeOf(root, 'tasks'), 0o755);
  t.is(modeOf(root, 'tasks/t1/stdout'), 0o644);
  t.is(log.length, 2);
  t.regex(log[0]!, /others could enter the data root.*"mode":"0755"/);
  t.regex(log[1]!, /now they are private.*"count":6.*node\.json/);
  log.length = 0;
  openDataRoot(root, OURS, recording(log));
  t.deepEqual(log, []);
});

test('a folder of tasks that everybody could write to is closed to writers', (t) => {
  const root = oldDataRoot(t);
  chmodSync(join(root, 'tasks'), 0o777);
  openDataRoot(root, OURS, silentLogger);
  t.is(modeOf(root, 'tasks'), 0o755);
});

test('links are not followed, and a file with other names keeps its mode', (t) => {
  const outside = folderOf(t);
  const file = join(outside, 'public');
  writeFileSync(file, '');
  chmodSync(file, 0o644);
  chmodSync(outside, 0o755);
  const root = folderOf(t);
  symlinkSync(file, join(root, 'link'));
  symlinkSync(outside, join(root, 'folder'));
  linkSync(file, join(root, 'hard'));
  const { repaired, left } = repairModes(root, OURS);
  t.deepEqual(repaired, []);
  t.deepEqual([...left].sort(), [
    `${join(root, 'folder')}: it is a symbolic link`,
    `${join(root, 'hard')}: it has other names`,
    `${join(root, 'link')}: it is a symbolic link`,
  ]);
  t.is(modeOf(file), 0o644);
  t.is(modeOf(outside), 0o755);
});

test('a walk has a limit', (t) => {
  const root = folderOf(t);
  mkdirSync(join(root, ...Array(20).fill('d')), { recursive: true });
  t.regex(repairModes(root, OURS).left.join(), /it lies 16 folders deep/);
});

testAsRoot('a data root with a file of another user is refused, naming the user', (t) => {
  const root = oldDataRoot(t);
  givenAway(join(root, 'certificates'), mkdirSync);
  t.throws(() => openDataRoot(root, OURS, silentLogger), {
    instanceOf: UsageError,
    message: /belongs to.*not to user.*(chown -R|--data-root)/,
  });
  rmSync(join(root, 'certificates'), { recursive: true });
  givenAway(join(root, 'certificates'), (path) => symlinkSync('/nowhere', path));
  t.throws(() => openDataRoot(root, OURS, silentLogger), { message: /belongs to.*chown -R/ });
});

testAsRoot('a data root that belongs to another user, directly or by a link, is refused', (t) => {
  const folder = folderOf(t);
  const path = givenAway(join(folder, 'data'), mkdirSync);
  const link = join(folder, 'link');
  symlinkSync(path, link);
  for (const each of [path, link])
    t.throws(() => openDataRoot(each, OURS, silentLogger), {
      instanceOf: UsageError,
      message: /belongs to.*--data-root/,
    });
});

testAsRoot('a data root below another user’s entry in a shared folder is refused', (t) => {
  const shared = folderOf(t);
  chmodSync(shared, 0o1777);
  const path = givenAway(join(shared, '.local'), mkdirSync);
  t.throws(() => openDataRoot(join(path, 'share', 'swarm'), OURS, silentLogger), {
    message: /\.local belongs to user \d+, and everybody may make files/,
  });
});

test('a user’s own socket folder is private, everybody may enter another one', (t) => {
  const folder = folderOf(t);
  const before = process.umask(0o077);
  if (OURS !== 0) {
    const env = { XDG_RUNTIME_DIR: join(folder, 'run') };
    makeSocketFolder(join(folder, 'run', 'swarm', 'swarm.sock'), env, OURS);
    t.deepEqual([modeOf(folder, 'run'), modeOf(folder, 'run', 'swarm')], [0o700, 0o700]);
  }
  makeSocketFolder(join(folder, 'other', 'swarm.sock'), {}, OURS);
  process.umask(before);
  t.is(modeOf(folder, 'other'), 0o755);
});

testAsRoot('a socket folder of another user is refused', (t) => {
  const shared = folderOf(t);
  chmodSync(shared, 0o1777);
  const path = givenAway(join(shared, 'x'), mkdirSync);
  t.throws(() => makeSocketFolder(join(path, 'swarm.sock'), {}, OURS), {
    message: /belongs to user \d+.*--socket/,
  });
  const env = { XDG_RUNTIME_DIR: path };
  t.throws(() => makeSocketFolder(join(path, 'swarm', 'swarm.sock'), env, 7), {
    message: /belongs to.*XDG_RUNTIME_DIR/,
  });
});
