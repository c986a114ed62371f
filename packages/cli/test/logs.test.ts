import test from 'ava';
import { FRAME_MAX_BYTES, LogFrames } from '../src/client/log-frames.js';
import { sinceSeconds } from '../src/commands/service-logs.js';
import { logPrefix, type PrefixOptions, showLogLine } from '../src/output/log-line.js';
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
const show = (line: string, prefix: Partial<PrefixOptions> = {}, rest: object = {}) =>
  showLogLine(line, {
    timestamps: false,
    details: false,
    prefix: (details) => logPrefix(details, { ...OPTIONS, ...prefix }),
    ...rest,
  });

test('a line says whose it is', (t) => {
  const line = `${DETAILS} a b\n`;
  t.is(show(line), 'web.1.abcdefghijkl@node1    | a b\n');
  t.is(show(line, { taskIds: false }), 'web.1@node1    | a b\n');
  t.is(show(line, { full: true }), 'web.1.abcdefghijklmnop@node1    | a b\n');
  t.is(show(line, { taskName: () => undefined }), 'abcdefghijkl@node1    | a b\n');
});

test('time stands before the prefix, further details after it', (t) => {
  const line = `2026-01-01T00:00:00.000000000Z ${DETAILS},tag=a%20b text\n`;
  const timestamps = { timestamps: true };
  const prefix = '2026-01-01T00:00:00.000000000Z web.1.abcdefghijkl@node1    | ';
  t.is(show(line, {}, timestamps), `${prefix}text\n`);
  t.is(show(line, {}, { ...timestamps, details: true }), `${prefix}tag=a%20b text\n`);
});

test('a line without details, or with bytes that decode to nothing, is shown as it is', (t) => {
  t.is(show('plain text\n'), 'plain text\n');
  t.is(show('100%=x text\n'), '100%=x text\n');
  t.is(show(''), '');
  t.is(show(`${DETAILS} \n`), 'web.1.abcdefghijkl@node1    | \n');
});

test('--since takes a moment, seconds, or a duration that counts back', (t) => {
  t.is(sinceSeconds('2026-01-01T00:00:00Z', 0), '1767225600.000000000');
  t.is(sinceSeconds('12.5', 0), '12.5');
  t.is(sinceSeconds('1m30s', 100_000), '10.000000000');
  t.throws(() => sinceSeconds('yesterday', 0), { message: /for --since/ });
});
