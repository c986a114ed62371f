import { readdirSync, readFileSync } from 'node:fs';
import test from 'ava';

const CORE = new URL('../../../src/core/', import.meta.url);

/** Anything by which the core could wait, or learn what its caller did not tell it. */
const FORBIDDEN = [
  /\basync\b/,
  /\bawait\b/,
  /\bPromise\b/,
  /\bDate\b/,
  /\bMath\.random\b/,
  /\bset(Timeout|Interval|Immediate)\b/,
  /\bqueueMicrotask\b/,
  /\bprocess\./,
  /from '(?!\.\/)/,
];

function code(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*$/gm, '');
}

test('the core never waits, has no clock and no randomness of its own, and imports nothing', (t) => {
  const files = readdirSync(CORE).filter((name) => name.endsWith('.ts'));
  t.true(files.length > 15);
  for (const name of files) {
    const text = code(readFileSync(new URL(name, CORE), 'utf8'));
    for (const pattern of FORBIDDEN) t.notRegex(text, pattern, name);
  }
});

test('a forbidden call in the core would be detected', (t) => {
  const wrong = "import { x } from 'node:fs';\nconst a = Date.now();\nawait b();\n";
  t.is(FORBIDDEN.filter((pattern) => pattern.test(code(wrong))).length, 3);
  t.is(FORBIDDEN.filter((pattern) => pattern.test(code('// await\n/* Date */'))).length, 0);
});
