import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';

const PACKAGE = join(import.meta.dirname, '..', '..');
const DEADLINE_MS = 60_000;

interface Manifest {
  readonly exports: Readonly<Record<string, { readonly types: string; readonly default: string }>>;
  readonly dependencies: Readonly<Record<string, string>>;
}

/** What `npm pack` puts into the package. */
const PACKED = packed();

async function packed(): Promise<string[]> {
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts'];
  const options = { cwd: PACKAGE, timeout: DEADLINE_MS };
  const { stdout } = await promisify(execFile)('npm', args, options);
  // A list of packages, or packages by name, depending on the version of npm.
  const [report] = Object.values(JSON.parse(stdout) as object) as [
    { files: readonly { path: string }[] },
  ];
  return report.files.map(({ path }) => path);
}

test('the package has what its exports name, the examples, and no tests', async (t) => {
  t.timeout(2 * DEADLINE_MS);
  const manifest = JSON.parse(await readFile(join(PACKAGE, 'package.json'), 'utf8')) as Manifest;
  const files = await PACKED;
  const named = Object.values(manifest.exports).flatMap(({ types, default: main }) => [
    types,
    main,
  ]);
  for (const path of [...named, './README.md', './LICENSE', './dist/examples/kv.js'])
    t.true(files.includes(path.slice('./'.length)), `${path} is missing`);
  t.deepEqual(
    files.filter((path) => /(^|\/)(test|node_modules)\//.test(path)),
    [],
  );
});

test('the package imports nothing that it does not depend on', async (t) => {
  const manifest = JSON.parse(await readFile(join(PACKAGE, 'package.json'), 'utf8')) as Manifest;
  t.timeout(2 * DEADLINE_MS);
  const files = (await PACKED).filter((path) => /^dist\/.*\.(js|d\.ts)$/.test(path));
  t.true(files.length > 50);
  const allowed = new Set([...Object.keys(manifest.dependencies), '@swarm/raft']);
  const found = new Set<string>();
  for (const path of files) {
    const text = await readFile(join(PACKAGE, path), 'utf8');
    for (const [, name] of text.matchAll(
      /^(?:import|export) .*from '((?:@[^/']+\/)?[^./'][^/']*)/gm,
    ))
      if (!name!.startsWith('node:')) found.add(name!);
  }
  t.true(found.has('ws') && found.has('msgpackr'));
  t.deepEqual(
    [...found].filter((name) => !allowed.has(name)),
    [],
  );
});

test('the example has no more than 60 lines, empty ones not counted', async (t) => {
  const text = await readFile(join(PACKAGE, 'examples', 'kv.ts'), 'utf8');
  t.true(text.split('\n').filter((line) => line.trim() !== '').length <= 60);
});
