import type { LogLine } from '@swarm/api';
import fc from 'fast-check';
import test from 'ava';
import {
  CUT_MARK,
  HELD_LIMIT_BYTES,
  LINE_LIMIT_BYTES,
  LineJoiner,
  type SourcedPiece,
} from '../src/api/line-joiner.js';

const TIME = '2026-01-01T00:00:00Z';

function piece(data: string | Buffer, partial: boolean, more: Partial<LogLine> = {}): SourcedPiece {
  return {
    nodeId: 'n1',
    line: {
      ...{ taskId: 'a', stream: 'stdout', timestamp: TIME, data: Buffer.from(data) },
      ...(partial ? { partial } : {}),
      ...more,
    },
  };
}

const shown = (pieces: readonly SourcedPiece[]) =>
  pieces.map(({ line }) => `${line.taskId} ${line.stream} ${Buffer.from(line.data).toString()}`);

test('pieces of each stream of each task are joined, whatever comes in between', (t) => {
  const joiner = new LineJoiner();
  const lines = [
    piece('one ', true),
    piece('err ', true, { stream: 'stderr' }),
    piece('other\n', false, { taskId: 'b' }),
    piece('line\n', false, { timestamp: '2026-01-01T00:00:09Z' }),
    piece('', true),
    piece('end', false, { stream: 'stderr' }),
    piece('rest', true),
  ].flatMap((each) => joiner.push(each));
  t.deepEqual(shown(lines), ['b stdout other\n', 'a stdout one line\n', 'a stderr err end']);
  t.is(lines[1]?.line.timestamp, TIME, 'a line has the time of its beginning');
  t.is(lines[1]?.line.partial, undefined);
  t.deepEqual(shown(joiner.end()), ['a stdout rest']);
});

test('an empty end completes a line; without one it is nothing', (t) => {
  const joiner = new LineJoiner();
  t.deepEqual(joiner.push(piece('', false)), []);
  joiner.push(piece('one', true));
  t.deepEqual(shown(joiner.push(piece('', false))), ['a stdout one']);
});

test('a line of any length comes out byte for byte, cut with a mark between characters', (t) => {
  t.notThrows(() =>
    fc.assert(
      fc.property(
        fc.constantFrom('x', 'ö', '€', '😀'),
        fc.integer({ min: 1, max: 3 * LINE_LIMIT_BYTES }),
        fc.integer({ min: 9_000, max: 32 * 1024 }),
        (character, length, size) => {
          const whole = Buffer.from(`${character.repeat(Math.ceil(length / 4))}\n`);
          const joiner = new LineJoiner();
          const lines: SourcedPiece[] = [];
          for (let at = 0; at < whole.length; at += size)
            lines.push(
              ...joiner.push(piece(whole.subarray(at, at + size), at + size < whole.length)),
            );
          const texts = lines.map(({ line }) => Buffer.from(line.data).toString());
          const isBounded = lines.every(
            ({ line }) => line.data.byteLength <= LINE_LIMIT_BYTES + CUT_MARK.length + 4,
          );
          return (
            isBounded &&
            texts.slice(0, -1).every((text) => text.endsWith(CUT_MARK)) &&
            texts.join('').replaceAll(CUT_MARK, '') === whole.toString()
          );
        },
      ),
      { numRuns: 30 },
    ),
  );
});

test('many unfinished lines are held up to a limit', (t) => {
  const joiner = new LineJoiner();
  const data = Buffer.alloc(256 * 1024, 'x');
  let out = 0;
  for (let task = 0; task < 100; task += 1)
    out += joiner.push(piece(data, true, { taskId: `t${task}` })).length;
  const held = joiner.end().reduce((sum, { line }) => sum + line.data.byteLength, 0);
  t.true(held <= HELD_LIMIT_BYTES);
  t.true(out > 0);
});
