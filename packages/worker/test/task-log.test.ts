import {
  appendFileSync,
  closeSync,
  openSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { isTimestamp, type LogLine } from '@swarm/api';
import test from 'ava';
import { until } from '@swarm/sim';
import { LogIndex } from '../src/runtime/log/log-index.js';
import { LOG_LINE_LIMIT_BYTES } from '../src/runtime/log/task-log-reader.js';
import { readLog } from '../src/runtime/log/log-reader.js';
import { TaskLog } from '../src/runtime/log/task-log.js';
import { ALL_LOGS, collect, makeFolder, text } from './support/real.js';

/** A log in a folder of its own, and a way to write to it at a time. */
function openLog(limitBytes = 1024 * 1024) {
  const folder = makeFolder();
  const log = new TaskLog(folder.path, limitBytes);
  return {
    log,
    folder,
    write(stream: 'stdout' | 'stderr', data: string, timeMs = Date.now()) {
      appendFileSync(log.path(stream), data);
      utimesSync(log.path(stream), timeMs / 1000, timeMs / 1000);
      log.sample();
    },
  };
}

const T0 = Date.UTC(2026, 0, 1);

test('Lines of both streams come in the order of their times', async (t) => {
  const { log, folder, write } = openLog();
  write('stdout', 'a\n', T0);
  write('stderr', 'b\n', T0 + 100);
  write('stdout', 'c\nd\n', T0 + 200);
  const lines = await collect(readLog(log, 't1', ALL_LOGS));
  t.deepEqual(
    lines.map((line) => [text(line), line.stream, line.timestamp]),
    [
      ['a\n', 'stdout', '2026-01-01T00:00:00.000000000Z'],
      ['b\n', 'stderr', '2026-01-01T00:00:00.100000000Z'],
      ['c\n', 'stdout', '2026-01-01T00:00:00.200000000Z'],
      ['d\n', 'stdout', '2026-01-01T00:00:00.200000000Z'],
    ],
  );
  folder.remove();
});

test('A line written in parts is one line, with the time of its end', async (t) => {
  const { log, folder, write } = openLog();
  write('stdout', 'one ', T0);
  write('stderr', 'other\n', T0 + 100);
  write('stdout', 'line\nrest', T0 + 200);
  const lines = await collect(readLog(log, 't1', ALL_LOGS));
  t.deepEqual(lines.map(text), ['other\n', 'one line\n', 'rest']);
  t.is(lines[1]?.timestamp, '2026-01-01T00:00:00.200000000Z');
  folder.remove();
});

test('Every tail gives exactly the last lines', async (t) => {
  const { log, folder, write } = openLog();
  for (let at = 0; at < 30; at += 1) {
    write(at % 3 === 0 ? 'stderr' : 'stdout', `line ${at}\npart`, T0 + at * 100);
  }
  const all = (await collect(readLog(log, 't1', ALL_LOGS))).map(text);
  t.is(all.length, 32);
  for (let tail = 0; tail <= 34; tail += 1) {
    const lines = await collect(readLog(log, 't1', { ...ALL_LOGS, tail }));
    t.deepEqual(lines.map(text), tail === 0 ? [] : all.slice(-tail), `tail ${tail}`);
  }
  folder.remove();
});

test('Since skips older lines', async (t) => {
  const { log, folder, write } = openLog();
  write('stdout', 'old\nbeg', T0);
  write('stdout', 'inning\nnew\n', T0 + 1_000);
  const since = new Date(T0 + 500).toISOString();
  const lines = await collect(readLog(log, 't1', { ...ALL_LOGS, since }));
  t.deepEqual(lines.map(text), ['beginning\n', 'new\n']);
  folder.remove();
});

test('A line that is too long comes in parts', async (t) => {
  const { log, folder, write } = openLog();
  write('stdout', `${'x'.repeat(2 * LOG_LINE_LIMIT_BYTES + 5)}\nnext\n`);
  const lines = await collect(readLog(log, 't1', ALL_LOGS));
  t.deepEqual(
    lines.map((line) => line.data.byteLength),
    [LOG_LINE_LIMIT_BYTES, LOG_LINE_LIMIT_BYTES, 6, 5],
  );
  folder.remove();
});

test('A log keeps within its limit on disk, and what is left begins with a whole line', async (t) => {
  const limit = 64 * 1024;
  const { log, folder, write } = openLog(limit);
  let count = 0;
  for (let block = 0; block < 100; block += 1) {
    let data = '';
    for (let line = 0; line < 100; line += 1) data += `line ${count++}\n`;
    write('stdout', data, T0 + block * 100);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until('it is trimmed', () => {
    log.sample();
    return statSync(log.path('stdout')).blocks * 512 <= 2 * limit && log.start('stdout') > 0;
  });
  const lines = (await collect(readLog(log, 't1', ALL_LOGS))).map(text);
  t.is(lines.at(-1), `line ${count - 1}\n`);
  t.true(lines.length > 1_000);
  const first = Number(lines[0]?.slice(5));
  t.deepEqual(
    lines,
    lines.map((_, at) => `line ${first + at}\n`),
    'no line is missing or broken',
  );
  // The next life of the daemon knows where it begins.
  log.flush();
  const again = new TaskLog(folder.path, limit);
  t.deepEqual((await collect(readLog(again, 't1', ALL_LOGS))).map(text), lines);
  folder.remove();
});

test('Lines written while no daemon was running are found', async (t) => {
  const { log, folder, write } = openLog();
  write('stdout', 'before\n', T0);
  log.flush();
  appendFileSync(log.path('stdout'), 'while\n');
  const again = new TaskLog(folder.path, 1024 * 1024);
  t.deepEqual((await collect(readLog(again, 't1', ALL_LOGS))).map(text), ['before\n', 'while\n']);
  folder.remove();
});

test('A follower sees each line once, from the first to the last', async (t) => {
  const { log, folder, write } = openLog();
  write('stdout', 'a\n');
  const seen: string[] = [];
  const following = (async () => {
    for await (const line of readLog(log, 't1', { ...ALL_LOGS, follow: true }))
      seen.push(text(line));
  })();
  for (let at = 0; at < 20; at += 1) {
    write('stdout', `${at}\n`);
    if (at % 4 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  log.end();
  await following;
  t.deepEqual(seen, ['a\n', ...Array.from({ length: 20 }, (_, at) => `${at}\n`)]);
  folder.remove();
});

test('A follower with tail 0 begins with the next line', async (t) => {
  const { log, folder, write } = openLog();
  write('stdout', 'old\n');
  const seen: string[] = [];
  const lines = readLog(log, 't1', { ...ALL_LOGS, follow: true, tail: 0 })[Symbol.asyncIterator]();
  const first = lines.next();
  await new Promise((resolve) => setTimeout(resolve, 50));
  write('stdout', 'new\n');
  const line = await first;
  if (line.done !== true) seen.push(text(line.value));
  t.deepEqual(seen, ['new\n']);
  await lines.return?.();
  folder.remove();
});

test('An index cut short by a crash is read up to there', (t) => {
  const folder = makeFolder();
  const path = join(folder.path, 'log.index');
  const index = new LogIndex(path);
  index.add({ stream: 'stdout', offset: 2 ** 40 + 1, timeMs: T0 + 0.5, trimmed: false });
  index.add({ stream: 'stderr', offset: 7, timeMs: T0, trimmed: true });
  index.flush();
  const records = index.read();
  t.is(records.length, 2);
  t.like(records[0], { stream: 'stdout', offset: 2 ** 40 + 1, timeMs: T0 + 0.5, trimmed: false });
  writeFileSync(path, Buffer.concat([Buffer.alloc(16), Buffer.alloc(5)]));
  t.is(new LogIndex(path).read().length, 1);
  folder.remove();
});

test('A task that fills the holes of its log does not fill the disk', async (t) => {
  const limit = 64 * 1024;
  const { log, folder, write } = openLog(limit);
  const disk = () => statSync(log.path('stdout')).blocks * 512;
  write('stdout', 'line\n'.repeat(100_000));
  await until('it is cut', () => disk() <= 2 * limit);
  const file = openSync(log.path('stdout'), 'r+');
  writeSync(file, Buffer.alloc(400_000, 'x'), 0, 400_000, 0);
  closeSync(file);
  t.true(disk() > 2 * limit);
  await until('it is cut again', () => {
    log.sample();
    return disk() <= 2 * limit;
  });
  t.is(statSync(log.path('stdout')).size, 500_000, 'readers go on where they were');
  folder.remove();
});

test('A task that gives its log any size or time does not stop its readers', async (t) => {
  const { log, folder, write } = openLog();
  write('stdout', 'before\n', T0);
  truncateSync(log.path('stdout'), 2 ** 42);
  log.sample();
  t.is(statSync(log.path('stdout')).size, 0, 'no disk has that size');
  for (const seconds of [-(2 ** 35), 2 ** 40]) {
    appendFileSync(log.path('stdout'), 'line\n');
    utimesSync(log.path('stdout'), seconds, seconds);
    log.sample();
  }
  const lines = await collect(readLog(log, 't1', ALL_LOGS));
  t.deepEqual(lines.map(text), ['line\n', 'line\n']);
  for (const { timestamp } of lines) t.true(isTimestamp(timestamp), timestamp);
  folder.remove();
});

test('A reader that comes back goes on where it was, in the middle of a time and of a line', async (t) => {
  const { log, folder, write } = openLog();
  const long = 'x'.repeat(LOG_LINE_LIMIT_BYTES);
  write('stdout', 'a\nb\n', T0);
  write('stderr', 'e\n', T0);
  write('stdout', `c\n${long}yz\n`, T0);
  write('stdout', 'd\n', T0 + 100);
  const all = await collect(readLog(log, 't1', ALL_LOGS));
  t.deepEqual(
    all.map(({ partial }) => partial === true),
    [false, false, false, false, true, false, false],
  );
  for (let at = 0; at <= all.length; at += 1) {
    const place: { stdout?: string; stderr?: string } = { stdout: '0', stderr: '0' };
    for (const { stream, position } of all.slice(0, at)) place[stream] = position!;
    const rest = await collect(readLog(log, 't1', { ...ALL_LOGS, tail: 1 }, place));
    t.deepEqual(rest.map(text), all.slice(at).map(text), `after ${at}`);
  }
  folder.remove();
});

test('A follower learns where a silent stream goes on, and misses nothing that it writes meanwhile', async (t) => {
  const { log, folder, write } = openLog();
  write('stdout', 'old\n', T0);
  write('stderr', 'begun', T0);
  const lines = readLog(log, 't1', { ...ALL_LOGS, follow: true, tail: 0 }, {});
  const iterator = lines[Symbol.asyncIterator]();
  const place: { stdout?: string; stderr?: string } = {};
  for (let count = 0; count < 2; count += 1) {
    const mark = (await iterator.next()).value as LogLine;
    t.true(mark.partial && mark.data.byteLength === 0);
    place[mark.stream] = mark.position!;
  }
  await iterator.return?.();
  write('stdout', 'new\n', T0 + 100);
  write('stderr', ' here\n', T0 + 100);
  const rest = await collect(readLog(log, 't1', { ...ALL_LOGS, tail: 0 }, place));
  t.deepEqual(rest.map(text).sort(), ['begun here\n', 'new\n']);
  folder.remove();
});

test('A place beyond a file that was emptied since is its beginning', async (t) => {
  const { log, folder, write } = openLog();
  write('stdout', 'a long first line\n', T0);
  truncateSync(log.path('stdout'), 0);
  log.sample();
  write('stdout', 'second\n', T0 + 100);
  const lines = await collect(readLog(log, 't1', ALL_LOGS, { stdout: '18', stderr: 'no number' }));
  t.deepEqual(lines.map(text), ['second\n']);
  folder.remove();
});

test('Times that a reader has seen outlive the daemon', async (t) => {
  const { log, folder, write } = openLog();
  write('stdout', 'one\n', T0);
  const lines = readLog(log, 't1', { ...ALL_LOGS, follow: true })[Symbol.asyncIterator]();
  const times = [(await lines.next()).value?.timestamp];
  write('stdout', 'two\n', T0 + 100);
  times.push((await lines.next()).value?.timestamp);
  await lines.return?.();
  // The daemon dies here; the task writes on.
  appendFileSync(log.path('stdout'), 'three\n');
  const again = await collect(readLog(new TaskLog(folder.path, 1024 * 1024), 't1', ALL_LOGS));
  t.deepEqual(again.map(({ timestamp }) => timestamp).slice(0, 2), times);
  t.is(again.length, 3);
  folder.remove();
});

test('A long line counts as one of the last lines', async (t) => {
  const { log, folder, write } = openLog();
  write('stdout', `first\n${'x'.repeat(5 * LOG_LINE_LIMIT_BYTES)}\nlast\n`);
  for (const [tail, count] of [
    [1, 1],
    [2, 7],
    [3, 8],
  ] as const) {
    const lines = await collect(readLog(log, 't1', { ...ALL_LOGS, tail }));
    t.is(lines.length, count, `tail ${tail}`);
  }
  folder.remove();
});

test('When the index gets too long, new times stay as they were', (t) => {
  const folder = makeFolder();
  const index = new LogIndex(join(folder.path, 'log.index'));
  const count = 70_000;
  for (let at = 0; at < count; at += 1)
    index.add({ stream: 'stdout', offset: at + 1, timeMs: T0 + at, trimmed: false });
  const records = index.read();
  t.true(records.length < count);
  const newest = records.slice(-16_000);
  t.deepEqual(
    newest.map(({ timeMs }) => timeMs - T0),
    newest.map((_, at) => count - newest.length + at),
  );
  folder.remove();
});

test('The last lines of a big log are found from its end, wherever samples and chunks cut it', async (t) => {
  const { log, folder, write } = openLog(64 * 1024 * 1024);
  const lines: string[] = [];
  for (let block = 0; block < 4; block += 1) {
    let data = '';
    for (let at = 0; at < 3_000; at += 1) {
      const line = `${block}.${at} ${'y'.repeat((at * 37) % 211)}\n`;
      lines.push(line);
      data += line;
    }
    // The sample is taken in the middle of a line.
    write('stdout', data.slice(0, -3), T0 + block * 100);
    write('stdout', data.slice(-3), T0 + block * 100 + 50);
  }
  for (const tail of [1, 2, 2_999, 3_000, 3_001, 7_000, 11_999, 12_000, 20_000]) {
    const found = await collect(readLog(log, 't1', { ...ALL_LOGS, tail }));
    t.deepEqual(found.map(text), lines.slice(-tail), `tail ${tail}`);
  }
  folder.remove();
});

test('A long line that was written in parts is whole for one who reads only the last line', async (t) => {
  const { log, folder, write } = openLog();
  write('stdout', 'first\n', T0);
  for (let part = 0; part < 10; part += 1) write('stdout', 'z'.repeat(40_000), T0 + part * 100);
  write('stdout', '\n', T0 + 5_000);
  const [tail, since] = await Promise.all([
    collect(readLog(log, 't1', { ...ALL_LOGS, tail: 1 })),
    collect(readLog(log, 't1', { ...ALL_LOGS, since: new Date(T0 + 450).toISOString() })),
  ]);
  for (const lines of [tail, since])
    t.is(Buffer.concat(lines.map(({ data }) => data)).toString(), `${'z'.repeat(400_000)}\n`);
  folder.remove();
});
