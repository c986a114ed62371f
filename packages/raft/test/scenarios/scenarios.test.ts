import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { play } from './runner.js';

/** The texts stay with the sources; only this file is compiled. */
const HERE = new URL('../../../test/scenarios/', import.meta.url);
/** With `SCENARIOS_REWRITE=1`, rewrites the texts with the actual output. Read the diff. */
const REWRITE = process.env.SCENARIOS_REWRITE === '1';

for (const folder of ['interaction', 'conf-change', 'quorum']) {
  const files = readdirSync(new URL(`${folder}/`, HERE)).filter((name) => name.endsWith('.txt'));
  for (const name of files.sort()) {
    test(`scenario ${folder}/${name.replace(/\.txt$/, '')}`, (t) => {
      const file = new URL(`${folder}/${name}`, HERE);
      const expected = readFileSync(file, 'utf8');
      const actual = play(expected);
      if (REWRITE && actual !== expected) writeFileSync(file, actual);
      t.is(REWRITE ? actual : expected, actual);
    });
  }
}

test('a scenario whose output differs by one word does not pass', (t) => {
  const text = '> vote voters=1,2,3 1:yes 2:yes\n  won\n';
  t.is(play(text), text);
  t.not(play(text.replace('won', 'lost')), text.replace('won', 'lost'));
});

test('a line that is neither story nor command is refused, so that a typo hides nothing', (t) => {
  t.throws(() => play('stabilize\n'), { message: /neither story nor command/ });
  t.throws(() => play('> stabilise\n'), { message: /unknown command/ });
});
