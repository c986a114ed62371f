import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { LogLine } from '@swarm/api';
import { until, VirtualClock } from '@swarm/sim';
import { type DiskSpace, diskSpace } from '../src/runtime/log/disk-space.js';
import { LogRecorder } from '../src/runtime/log/log-recorder.js';
import { readLog } from '../src/runtime/log/log-reader.js';
import { TaskLog } from '../src/runtime/log/task-log.js';
import { ALL_LOGS, collect, makeFolder, text } from './support/real.js';

const LIMIT_BYTES = 16 * 1024 * 1024;
const MARK =
  /^\[swarm: the disk of this node was full: what the task wrote after \S+Z may be missing here(, and a line was cut after \d+ bytes)?\]\n$/;

/** A disk of its own, of this size. */
function smallDisk(t: ExecutionContext, options: string): string {
  const { path } = makeFolder();
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path]);
  t.teardown(() => {
    // A test that failed may still read from it.
    execFileSync('umount', ['--lazy', path]);
    rmSync(path, { recursive: true, force: true });
  });
  return path;
}

/** What a program does that ignores errors of its standard output, as most do. Returns the bytes written. */
function write(file: number, data: string): number {
  try {
    return writeSync(file, data);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    return 0;
  }
}

const testAsRoot = process.getuid?.() === 0 ? test : test.skip;

/** A task's log on a disk, looked at by a recorder on a clock of the test's. */
function recorded(t: ExecutionContext, folder: string, space?: (folder: string) => DiskSpace) {
  const clock = new VirtualClock(0);
  const failures: unknown[] = [];
  const recorder = new LogRecorder(clock, space ?? diskSpace, (error) => failures.push(error));
  const log = new TaskLog(folder, LIMIT_BYTES);
  const file = openSync(log.path('stdout'), 'a');
  recorder.add(log, folder, () => {});
  t.teardown(() => {
    recorder.close();
    closeSync(file);
  });
  return { clock, recorder, log, file, failures };
}

const lineOf = (number: number): string =>
  `line ${String(number).padStart(8, '0')} ${'x'.repeat(70)}\n`;
const WHOLE = /^line \d{8} x{70}\n$/;

/** Each line is whole or a mark. @returns the marks */
function marksOf(t: ExecutionContext, lines: readonly LogLine[]): string[] {
  const marks: string[] = [];
  for (const line of lines.map(text)) {
    if (line.startsWith('[swarm')) marks.push(line);
    else t.regex(line, WHOLE);
  }
  for (const mark of marks) t.regex(mark, MARK);
  return marks;
}

testAsRoot('On a full disk lines are whole or missing, and the log says where', async (t) => {
  const disk = smallDisk(t, 'size=512k');
  const folder = join(disk, 'task');
  mkdirSync(folder);
  const { clock, log, file } = recorded(t, folder);
  const ballast = openSync(join(disk, 'ballast'), 'w');
  t.teardown(() => closeSync(ballast));
  let number = 0;
  const lines = (count: number): number => {
    let written = 0;
    for (let at = 0; at < count; at += 1) written += write(file, lineOf(number++));
    return written;
  };
  const follower: LogLine[] = [];
  const following = (async () => {
    for await (const line of readLog(log, 't1', { ...ALL_LOGS, follow: true })) follower.push(line);
  })();
  lines(20);
  await clock.advance(300);
  // Something else fills the disk, twice.
  for (let times = 0; times < 2; times += 1) {
    while (write(ballast, 'b'.repeat(4096)) > 0);
    const offered = 200;
    t.true(lines(offered) < offered * lineOf(0).length, 'some are refused');
    await clock.advance(1_000);
    lines(50);
    await clock.advance(1_000);
    // A daemon that dies now leaves the mark, too.
    const dead = await collect(readLog(new TaskLog(folder, LIMIT_BYTES), 't1', ALL_LOGS));
    t.is(marksOf(t, dead).length, times + 1);
    ftruncateSync(ballast, 0);
    lines(30);
    await clock.advance(1_000);
  }
  const all = await collect(readLog(log, 't1', ALL_LOGS));
  t.is(marksOf(t, all).length, 2);
  t.true(marksOf(t, all).some((mark) => mark.includes('a line was cut after')));
  const last = lineOf(number - 1);
  t.is(text(all.at(-1)!), last);
  // Every tail begins with a whole line, too.
  for (let tail = 1; tail < 100; tail += 7)
    marksOf(t, await collect(readLog(log, 't1', { ...ALL_LOGS, tail })));
  await until('the follower has all', () => follower.some((line) => text(line) === last));
  t.deepEqual(follower.map(text), all.map(text));
  // A daemon that starts later finds the marks.
  log.flush();
  const later = await collect(readLog(new TaskLog(folder, LIMIT_BYTES), 't1', ALL_LOGS));
  t.deepEqual(later.map(text), all.map(text));
  log.end();
  await following;
});

testAsRoot(
  'A task that writes its first words in vain, while it is quiet, is marked as well',
  async (t) => {
    const disk = smallDisk(t, 'size=256k');
    const folder = join(disk, 'task');
    mkdirSync(folder);
    const { clock, recorder, log, file } = recorded(t, folder);
    write(file, lineOf(1));
    await clock.advance(5_000);
    const ballast = openSync(join(disk, 'ballast'), 'w');
    t.teardown(() => closeSync(ballast));
    while (write(ballast, 'b'.repeat(4096)) > 0);
    for (let number = 2; number < 100; number += 1) write(file, lineOf(number));
    await clock.advance(5_000);
    // It ends because it cannot write.
    recorder.end(log);
    const all = await collect(readLog(log, 't1', ALL_LOGS));
    t.is(marksOf(t, all).length, 1);
    t.regex(text(all.at(-1)!), MARK);
  },
);

testAsRoot('Without free inodes logs go on, and what cannot be written is reported', async (t) => {
  const disk = smallDisk(t, 'size=1m,nr_inodes=4');
  const folder = join(disk, 'task');
  mkdirSync(folder);
  const { clock, log, file, failures } = recorded(t, folder);
  closeSync(openSync(join(disk, 'last'), 'w'));
  for (let number = 0; number < 2_000; number += 1) {
    write(file, lineOf(number));
    if (number % 20 === 0) await clock.advance(100);
  }
  const all = await collect(readLog(log, 't1', ALL_LOGS));
  t.is(marksOf(t, all).length, 0);
  t.is(all.length, 2_000);
  t.regex(String(failures[0]), /ENOSPC/);
});

test('A disk without room marks only a stream that stands at the end of a block', async (t) => {
  const folder = makeFolder();
  t.teardown(() => folder.remove());
  let space: DiskSpace = { isFull: true, blockBytes: 4096 };
  const { clock, log, file } = recorded(t, folder.path, () => space);
  const marks = async (): Promise<number> =>
    (await collect(readLog(log, 't1', ALL_LOGS))).filter((line) => MARK.test(text(line))).length;
  write(file, `${'a'.repeat(100)}\n`);
  await clock.advance(1_000);
  t.is(await marks(), 0, 'there is room in its block');
  write(file, 'b'.repeat(4096 - 101));
  await clock.advance(3_000);
  t.is(await marks(), 1);
  await clock.advance(10_000);
  t.is(await marks(), 1, 'once');
  space = { ...space, isFull: false };
  write(file, 'next\n');
  await clock.advance(1_000);
  const lines = (await collect(readLog(log, 't1', ALL_LOGS))).map(text);
  t.deepEqual([lines[0]!.length, lines[2]], [101, 'next\n']);
  t.regex(lines[1]!, /and a line was cut after 3995 bytes\]\n$/);
  // Where files may end anywhere, any stream may have lost something.
  space = { isFull: true, blockBytes: undefined };
  await clock.advance(3_000);
  t.is(await marks(), 2);
});
