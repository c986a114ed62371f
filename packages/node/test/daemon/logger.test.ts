import { showControls } from '@swarm/api';
import test from 'ava';
import fc from 'fast-check';
import { createLogger } from '../../src/daemon/logger.js';

const EVIL = '\u001b[2J\u009b31m\u007f\u2028\r\n12:00:00.000 ERROR forged';

function logged(
  format: 'json' | 'pretty',
  write: (lines: ReturnType<typeof createLogger>) => void,
) {
  let text = '';
  write(createLogger({ logLevel: 'info', logFormat: format }, { write: (line) => (text += line) }));
  return text;
}

for (const format of ['json', 'pretty'] as const) {
  test(`an entry of the ${format} log is one line without a peer’s control characters`, (t) => {
    fc.assert(
      fc.property(fc.oneof(fc.constant(EVIL), fc.string({ unit: 'binary' })), (text) => {
        const line = logged(format, (logger) =>
          logger.info({ reason: text, list: [text], [`k${text}`]: 1 }, `refused: ${text}`),
        );
        return showControls(line) === `${line.slice(0, -1)}\\x0a`;
      }),
    );
    t.pass();
  });
}

test('the JSON log keeps its fields', (t) => {
  const line = logged('json', (logger) => logger.warn({ reason: EVIL }, EVIL));
  t.like(JSON.parse(line), { level: 'warn', reason: EVIL, msg: EVIL });
});

test('the lines of an error’s stack are indented', (t) => {
  const line = logged('pretty', (logger) => logger.error({ err: new Error(EVIL) }, 'it failed'));
  const [head, ...stack] = line.trimEnd().split('\n');
  t.regex(head!, /ERROR it failed$/);
  t.true(stack.length > 2);
  for (const each of stack) t.regex(each, /^ {4}/);
  t.is(showControls(line, '\n'), line);
});
