import test from 'ava';
import { FRAME_MAX_BYTES, LogFrames } from '../src/client/log-frames.js';
import { sinceSeconds } from '../src/commands/service-logs.js';
import { LogMarks, type MarkedLine } from '../src/client/log-marks.js';
import { logPrefix, type PrefixOptions, readLogLine, showLogLine } from '../src/output/log-line.js';
import { frame } from './support/frames.js';

test('frames come out whole, however the bytes are cut', (t) => {
  const bytes = Buffer.concat([
    frame(1, 'one\n'),
    frame(2, ''),
    frame(3, 'zwölf\n'),
    frame(1, 'x'),
  ]);
  for (const size of [1, 3, 7, 8, 9, bytes.length]) {
    const frames = new LogFrames();
    const seen: string[] = [];
    for (let at = 0; at < bytes.length; at += size) {
      for (const { stream, data } of frames.push(bytes.subarray(at, at + size)))
        seen.push(`${stream}:${data.toString()}`);
    }
    frames.end();
    t.deepEqual(seen, ['stdout:one\n', 'stderr:', 'error:zwölf\n', 'stdout:x'], `${size} bytes`);
  }
});

test('a stream that ends within a frame, or is not a log stream, is an error', (t) => {
  const cut = new LogFrames();
  t.deepEqual(cut.push(frame(1, 'hello').subarray(0, 10)), []);
  t.throws(() => cut.end(), { message: /middle of a line/ });
  t.throws(() => new LogFrames().push(Buffer.from('HTTP/1.1 200 OK')), {
    message: /not a log stream/,
  });
  const huge = frame(1, '');
  huge.writeUInt32BE(FRAME_MAX_BYTES + 1, 4);
  t.throws(() => new LogFrames().push(huge), { message: /not a log stream/ });
});

const DETAILS =
  'com.docker.swarm.node.id=n1,com.docker.swarm.service.id=s1,com.docker.swarm.task.id=abcdefghijklmnop';
const OPTIONS: PrefixOptions = {
  taskIds: true,
  full: false,
  taskName: (id) => (id === 'abcdefghijklmnop' ? 'web.1' : undefined),
  nodeName: (id) => (id === 'n1' ? 'node1' : id),
};
const show = (line: string | Buffer, prefix: Partial<PrefixOptions> = {}, rest: object = {}) => {
  const shape = { timestamps: false, details: false, ...rest };
  const read = readLogLine(Buffer.from(line), { ...shape, details: true });
  return read === undefined
    ? undefined
    : showLogLine(read, {
        ...shape,
        prefix: (details) => logPrefix(details, { ...OPTIONS, ...prefix }),
      });
};
const shown = (...args: Parameters<typeof show>) => show(...args)?.toString();

test('a line says whose it is', (t) => {
  const line = `${DETAILS} a b\n`;
  t.is(shown(line), 'web.1.abcdefghijkl@node1    | a b\n');
  t.is(shown(line, { taskIds: false }), 'web.1@node1    | a b\n');
  t.is(shown(line, { full: true }), 'web.1.abcdefghijklmnop@node1    | a b\n');
  t.is(shown(line, { taskName: () => undefined }), 'abcdefghijkl@node1    | a b\n');
  t.is(shown(`${DETAILS} \n`), 'web.1.abcdefghijkl@node1    | \n');
});

test('time stands before the prefix, further details after it', (t) => {
  const line = `2026-01-01T00:00:00.000000000Z ${DETAILS},tag=a%20b text\n`;
  const timestamps = { timestamps: true };
  const prefix = '2026-01-01T00:00:00.000000000Z web.1.abcdefghijkl@node1    | ';
  t.is(shown(line, {}, timestamps), `${prefix}text\n`);
  t.is(shown(line, {}, { ...timestamps, details: true }), `${prefix}tag=a%20b text\n`);
});

test('what a task wrote comes out byte for byte', (t) => {
  const bytes = Buffer.from([0xff, 0xc3, 0x00, 0x20, 0x80, 0x0a]);
  const line = show(Buffer.concat([Buffer.from(`${DETAILS} `), bytes]));
  t.deepEqual(line?.subarray(-bytes.length), bytes);
});

test('a line without details is no line of a task', (t) => {
  for (const line of ['plain text\n', '100%=x text\n', '']) t.is(show(line), undefined);
});

const time = (second: number) => `2026-01-01T00:00:${String(second).padStart(2, '0')}.000000000Z`;
const at = (taskId: string, second: number) => ({
  ...{ taskId, stream: 'stdout' as const, timestamp: time(second) },
});

test('after a break each line is new once, however many have the same time', (t) => {
  const marks = new LogMarks();
  const accepts = (...lines: MarkedLine[]) => lines.map((line) => marks.accept(line, 1_000));
  t.deepEqual(accepts(at('a', 1), at('b', 9), at('a', 2), at('a', 2)), [true, true, true, true]);
  t.is(marks.broken(2_000), '2025-12-31T23:59:09.000Z');
  t.deepEqual(
    accepts(at('a', 1), at('a', 2), at('b', 9), at('a', 2), at('a', 2), at('c', 3), at('b', 10)),
    [false, false, false, false, true, true, true],
  );
  const stderr = { ...at('c', 2), stream: 'stderr' as const };
  marks.broken(3_000);
  t.deepEqual(accepts(stderr), [false], 'it is older than what was asked for of this task');
});

test('the time to go on from is before all that was under way', (t) => {
  const marks = new LogMarks();
  t.is(marks.broken(0), undefined);
  marks.accept(at('slow', 1), 100_000);
  marks.accept({ ...at('fast', 1), timestamp: '2026-01-01T01:00:00.000000000Z' }, 100_000);
  t.is(marks.broken(100_000), time(1), 'a task that is far behind is read from there');
  t.is(marks.broken(200_000), '2026-01-01T00:59:00.000Z', 'one that fell silent is not');
});

test('with a floor, old lines of tasks that have shown none stay out', (t) => {
  const marks = new LogMarks();
  marks.accept(at('a', 5), 0);
  marks.broken(0, time(4));
  t.deepEqual([marks.accept(at('b', 3), 0), marks.accept(at('b', 4), 0)], [false, true]);
});

test('--since takes a moment, seconds, or a duration that counts back', (t) => {
  t.is(sinceSeconds('2026-01-01T00:00:00Z', 0), '1767225600.000000000');
  t.is(sinceSeconds('12.5', 0), '12.5');
  t.is(sinceSeconds('1m30s', 100_000), '10.000000000');
  t.throws(() => sinceSeconds('yesterday', 0), { message: /for --since/ });
});
