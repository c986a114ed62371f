import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { lockFolder } from '../../src/files/folder-lock.js';

test('a folder belongs to one daemon, which takes over the lock of a dead one', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'swarm-lock-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'daemon.pid');
  const unlock = lockFolder(folder);
  t.regex(readFileSync(path, 'utf8'), new RegExp(`^${process.pid} \\d+\n$`));
  unlock();
  t.throws(() => readFileSync(path));
  // Process 1 is alive and is not us.
  const stat = readFileSync('/proc/1/stat', 'utf8');
  const startTime = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  writeFileSync(path, `1 ${startTime}\n`);
  t.throws(() => lockFolder(folder), { message: /another daemon \(process 1\).*--data-root/ });
  for (const stale of [`1 ${Number(startTime) + 1}\n`, '4194305 7\n', '', 'garbage']) {
    writeFileSync(path, stale);
    lockFolder(folder)();
  }
});
