import type { LogLine, LogPlace } from '@swarm/api';
import test from 'ava';
import { until } from '@swarm/sim';
import { LogDecoder, type LogEntry } from '../../src/runtime/docker/log-decoder.js';
import {
  EntryFilter,
  formatPosition,
  parsePosition,
} from '../../src/runtime/docker/log-position.js';
import { ALL_LOGS, collect, text } from '../support/real.js';
import { engineLacks, openDockerRuntime, progress, shell, TestEngine } from './engine.js';
import { prepare } from '../support/prepare.js';

const TIME = '2026-01-02T03:04:05.000000006Z';
const PART_BYTES = 16 * 1024;

function frame(stream: number, payload: string): Buffer {
  const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32BE(Buffer.byteLength(payload), 4);
  return Buffer.concat([header, Buffer.from(payload)]);
}

/** Decodes with every size of chunks. */
function decodings(tty: boolean, bytes: Buffer, sizes: readonly number[]): LogEntry[][] {
  return sizes.map((size) => {
    const decoder = new LogDecoder(tty);
    const entries: LogEntry[] = [];
    for (let at = 0; at < bytes.length; at += size) {
      entries.push(...decoder.push(bytes.subarray(at, at + size)));
    }
    return [...entries, ...decoder.end()];
  });
}

test('frames are decoded wherever the chunks end', (t) => {
  const bytes = Buffer.concat([
    frame(1, `${TIME} one\n`),
    frame(2, `${TIME} two words\n`),
    frame(1, `${TIME} \n`),
    frame(1, `${TIME} end`),
  ]);
  for (const entries of decodings(false, bytes, [1, 7, 33, 1000])) {
    t.deepEqual(
      entries.map(({ stream, timestamp, data }) => [stream, timestamp, data.toString()]),
      [
        ['stdout', TIME, 'one\n'],
        ['stderr', TIME, 'two words\n'],
        ['stdout', TIME, '\n'],
        ['stdout', TIME, 'end'],
      ],
    );
  }
});

test("a terminal's lines and the parts of its long ones are decoded", (t) => {
  const long = 'x'.repeat(PART_BYTES);
  const bytes = Buffer.from(
    `${TIME} one\r\n${TIME} ${long}${TIME} ${long}${TIME} y\r\n${TIME} \n${TIME} $ `,
  );
  for (const entries of decodings(true, bytes, [1, 50, 4096, 100_000])) {
    t.deepEqual(
      entries.map(({ data }) => data.toString()),
      ['one\r\n', long, long, 'y\r\n', '\n', '$ '],
    );
    t.true(entries.every(({ timestamp }) => timestamp === TIME));
  }
});

test("times of the engine's own zone come in UTC, with their nanoseconds", (t) => {
  const [entry] = new LogDecoder(false).push(frame(1, '2026-01-02T03:04:05.1234567+02:00 a\n'));
  t.is(entry?.timestamp, '2026-01-02T01:04:05.123456700Z');
});

test('a report of the engine that its log is broken is an error', (t) => {
  const decoder = new LogDecoder(false);
  t.throws(() => decoder.push(frame(3, 'error from daemon in stream: no space')), {
    message: /no space/,
  });
});

const lacks = engineLacks();

if (lacks === undefined) {
  const engine = new TestEngine();
  test.before(async () => {
    await engine.start();
    await engine.importImage();
  });
  test.after.always(() => engine.close());

  test.serial('the last lines of one stream are found among those of the other', async (t) => {
    const harness = openDockerRuntime(engine);
    try {
      const task = shell(
        'i=0; while [ $i -lt 5 ]; do i=$((i+1)); echo "err $i" >&2; done; i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo "out $i"; done',
      );
      await prepare(harness.runtime, task);
      await harness.runtime.start(task.ID, progress);
      await harness.runtime.wait(task.ID);
      const last = async (tail: number, follow = false): Promise<string[]> =>
        (
          await collect(harness.runtime.logs(task.ID, { ...ALL_LOGS, follow, stdout: false, tail }))
        ).map(text);
      t.deepEqual(await last(2), ['err 4\n', 'err 5\n']);
      t.deepEqual(await last(2, true), ['err 4\n', 'err 5\n']);
      t.is((await last(5)).length, 5);
      t.is((await last(6)).length, 5);
      t.deepEqual(await last(0), []);
      const all = await collect(harness.runtime.logs(task.ID, ALL_LOGS));
      t.is(all.length, 305);
      const since = all[300]!.timestamp;
      const late = await collect(harness.runtime.logs(task.ID, { ...ALL_LOGS, since }));
      // The engine copies the two streams side by side: lines may stand out of their times' order.
      const expected = all.filter(({ timestamp }) => timestamp >= since);
      t.deepEqual(late.map(text), expected.map(text));
    } finally {
      await harness.close();
    }
  });

  test.serial(
    'a long line comes in pieces, is one of the last lines, and can be gone on with',
    async (t) => {
      const harness = openDockerRuntime(engine);
      try {
        const task = shell(
          'echo one; sleep 0.1; echo e1 >&2; sleep 0.1; head -c 40000 /dev/zero | tr "\\000" x; echo; sleep 0.1; echo e2 >&2; sleep 0.1; echo two; printf end',
        );
        await prepare(harness.runtime, task);
        await harness.runtime.start(task.ID, progress);
        await harness.runtime.wait(task.ID);
        const read = (tail: number, place: LogPlace = {}) =>
          collect(harness.runtime.logs(task.ID, { ...ALL_LOGS, tail }, place));
        const isPiece = ({ data }: LogLine) => data.byteLength > 0;
        const all = (await read(-1)).filter(isPiece);
        t.deepEqual(
          all.map(({ data, partial }) => [data.byteLength, partial === true]),
          [
            [4, false],
            [3, false],
            [PART_BYTES, true],
            [PART_BYTES, true],
            [40_001 - 2 * PART_BYTES, false],
            [3, false],
            [4, false],
            [3, true],
          ],
        );
        t.false(
          (await read(-1)).at(-1)!.partial === true,
          'the end of the log is the end of its line',
        );
        for (const [tail, pieces] of [
          [1, 1],
          [2, 2],
          [3, 3],
          [4, 6],
          [5, 7],
          [6, 8],
          [7, 8],
        ] as const)
          t.deepEqual(
            (await read(tail)).filter(isPiece).map(text),
            all.slice(-pieces).map(text),
            `${tail}`,
          );
        for (let at = 1; at <= all.length; at += 1) {
          const place: { stdout?: string; stderr?: string } = {};
          for (const { stream, position } of all.slice(0, at)) place[stream] = position!;
          const rest = (await read(1, place)).filter(isPiece);
          t.deepEqual(rest.map(text), all.slice(at).map(text), `after ${at}`);
        }
      } finally {
        await harness.close();
      }
    },
  );

  test.serial('a task with a terminal has its lines, too', async (t) => {
    const harness = openDockerRuntime(engine);
    try {
      const task = shell('echo one; echo two >&2; printf three', { container: { TTY: true } });
      await prepare(harness.runtime, task);
      await harness.runtime.start(task.ID, progress);
      await harness.runtime.wait(task.ID);
      const lines = await collect(harness.runtime.logs(task.ID, ALL_LOGS));
      t.deepEqual(lines.map(text), ['one\r\n', 'two\r\n', 'three']);
      t.true(lines.every(({ timestamp }) => /^\d{4}-.*\.\d{9}Z$/.test(timestamp)));
    } finally {
      await harness.close();
    }
  });

  test.serial('a follower of a task that is only prepared waits for its start', async (t) => {
    const harness = openDockerRuntime(engine);
    try {
      const task = shell('echo one');
      await prepare(harness.runtime, task);
      const lines: string[] = [];
      let done = false;
      void (async () => {
        const log = harness.runtime.logs(task.ID, { ...ALL_LOGS, follow: true });
        for await (const line of log) lines.push(text(line));
        done = true;
      })();
      await harness.runtime.start(task.ID, progress);
      await until('the log ends', () => done);
      t.deepEqual(lines, ['one\n']);
    } finally {
      await harness.close();
    }
  });

  test.serial('a log driver that keeps nothing is named in the error', async (t) => {
    const harness = openDockerRuntime(engine);
    try {
      const task = shell('echo one', { spec: { LogDriver: { Name: 'none' } } });
      await prepare(harness.runtime, task);
      await harness.runtime.start(task.ID, progress);
      await harness.runtime.wait(task.ID);
      await t.throwsAsync(collect(harness.runtime.logs(task.ID, ALL_LOGS)), {
        name: 'RuntimeError',
        message: /cannot read the log.*does not support reading/,
      });
    } finally {
      await harness.close();
    }
  });
} else {
  test.skip(`docker runtime's logs: SKIPPED, ${lacks}`, () => {});
}

test('a position in a stream is read back, and leaves out what came before it', (t) => {
  const place = { timestamp: TIME, entries: 2 };
  t.deepEqual(parsePosition(formatPosition(place)), place);
  for (const bad of [undefined, '', '12', `${TIME}/`, `${TIME}/-1`, 'x/1'])
    t.is(parsePosition(bad), undefined);
  const filter = new EntryFilter(place);
  const before = '2026-01-02T03:04:05.000000005Z';
  const after = '2026-01-02T03:04:05.000000007Z';
  t.deepEqual(
    [before, TIME, TIME, TIME, after, before].map((timestamp) => filter.isNew({ timestamp })),
    [false, false, false, true, true, true],
  );
});
