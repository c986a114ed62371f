import { existsSync, readFileSync } from 'node:fs';
import test from 'ava';

/** docs/raft-checklist.md promises tests; each must exist. */

const PACKAGE = new URL('../../', import.meta.url);
const ROOT = new URL('../../', PACKAGE);
const DOC = readFileSync(new URL('docs/raft-checklist.md', ROOT), 'utf8');
const BUGS = 73;

interface Row {
  readonly number: number;
  readonly covers: string;
}

function rows(): Row[] {
  return [...DOC.matchAll(/^\| (\d+) \|.*\|([^|]*)\|$/gm)].map(([, number, covers]) => ({
    number: Number(number),
    covers: covers!,
  }));
}

/** The code spans of the tables. */
function named(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, span]) => span!);
}

/** Undefined if it exists, else what is missing. */
function missing(span: string): string | undefined {
  if (span.startsWith('scenario ')) {
    const path = `test/scenarios/${span.slice('scenario '.length)}.txt`;
    return existsSync(new URL(path, PACKAGE)) ? undefined : path;
  }
  const [path = '', ...rest] = span.split(': ');
  const outside = path.startsWith('packages/') || path.startsWith('test/cluster/');
  const file = new URL(path, outside ? ROOT : PACKAGE);
  if (!existsSync(file)) return path;
  const name = rest.join(': ');
  if (name === '') return undefined;
  const text = readFileSync(file, 'utf8');
  // A test that runs with several seeds has a template as its name.
  const found = text.includes(`('${name}'`) || text.includes(`(\`${name}`);
  return found || text.includes(`  '${name}',`) ? undefined : `${path}: ${name}`;
}

test('the checklist has a line for each of the known bugs, in order', (t) => {
  const numbers = rows().map(({ number }) => number);
  t.deepEqual(
    numbers,
    Array.from({ length: BUGS }, (_, i) => i + 1),
  );
});

test('every bug is detected by something, or the table says why not', (t) => {
  for (const { number, covers } of rows()) {
    t.true(named(covers).length > 0 || covers.includes('*not covered:*'), `bug ${number}`);
  }
});

test('every test, scenario and invariant that the checklist names exists', (t) => {
  const lines = DOC.split('\n').filter((line) => line.startsWith('| ') && line.includes('`'));
  const spans = lines.flatMap(named);
  t.true(spans.length > 100);
  t.deepEqual(
    spans.map(missing).filter((what) => what !== undefined),
    [],
  );
});

test('a name that no test has would be missed', (t) => {
  t.truthy(missing('scenario interaction/no-such-story'));
  t.truthy(missing('test/core/no-such.test.ts'));
  t.truthy(missing('test/core/election.test.ts: no such test'));
  t.is(missing('test/core/election.test.ts: a vote survives a restart'), undefined);
});
