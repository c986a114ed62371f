// Fails when a package imports what the design does not allow, when files import in a circle, when code
// that takes time, randomness, network and disk as parameters reaches for its own (purity.mjs), or when two
// classes share a name (class-names.mjs). The table is from docs/architecture.md; change both together.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { sharedNames } from './class-names.mjs';
import { EXCEPT, impurities, PURE } from './purity.mjs';

const MAY_IMPORT = {
  raft: [],
  sim: [],
  'raft-sim': ['raft', 'sim'],
  api: [],
  identity: ['api'],
  http: ['api'],
  manager: ['raft', 'api', 'identity', 'http'],
  'routing-mesh': ['api'],
  worker: ['api', 'routing-mesh'],
  node: ['raft', 'api', 'identity', 'http', 'manager', 'routing-mesh', 'worker'],
  cli: ['api'],
};

const root = resolve(import.meta.dirname, '..');
const failures = [];
/** Runtime imports between files of one package (types vanish, so they make no circle). */
const graph = new Map();

for (const [name, allowed] of Object.entries(MAY_IMPORT)) {
  const folder = join(root, 'packages', name, 'src');
  for (const file of sources(folder)) {
    const here = relative(root, file);
    const edges = [];
    graph.set(file, edges);
    for (const { specifier, typeOnly } of imports(readFileSync(file, 'utf8'))) {
      if (specifier.startsWith('@swarm/')) {
        // A part of a package (`@swarm/manager/assembly`) follows the same rule as the whole.
        const target = specifier.slice('@swarm/'.length).split('/')[0];
        if (!allowed.includes(target))
          failures.push(
            `${here} imports ${specifier}: ${name} may import ${allowed.join(', ') || 'nothing of ours'}`,
          );
      } else if (specifier.startsWith('.')) {
        const target = resolve(dirname(file), specifier.replace(/\.js$/, '.ts'));
        if (!target.startsWith(folder))
          failures.push(`${here} imports ${specifier}: outside its own package`);
        else if (!typeOnly) edges.push(target);
      }
    }
  }
}

const state = new Map();
for (const file of graph.keys()) visit(file, []);

for (const folder of PURE) {
  for (const file of sources(join(root, folder))) {
    const here = relative(root, file);
    if (EXCEPT.includes(here)) continue;
    for (const { line, what } of impurities(readFileSync(file, 'utf8')))
      failures.push(`${here}:${line}: ${what}: ${folder} has that passed in`);
  }
}

const named = [
  ...Object.keys(MAY_IMPORT).flatMap((name) => ownSources(name)),
  ...sources(join(root, 'test')),
].map((file) => ({ path: relative(root, file), source: readFileSync(file, 'utf8') }));
for (const { name, at } of sharedNames(named))
  failures.push(`${at.join(', ')}: one name for ${at.length} classes: ${name}`);

for (const failure of failures) console.error(failure);
if (failures.length > 0) process.exit(1);
console.log(
  `arrows: ${graph.size} files, no import against the design, no circle; ${PURE.length} folders are pure; no two classes share a name`,
);

function visit(file, path) {
  if (state.get(file) === 'done') return;
  if (state.get(file) === 'open') {
    const circle = [...path.slice(path.indexOf(file)), file].map((each) => relative(root, each));
    failures.push(`circle: ${circle.join(' -> ')}`);
    return;
  }
  state.set(file, 'open');
  for (const target of graph.get(file) ?? []) visit(target, [...path, file]);
  state.set(file, 'done');
}

function ownSources(name) {
  const folders = ['src', 'test'].map((part) => join(root, 'packages', name, part));
  return folders.filter((folder) => existsSync(folder)).flatMap((folder) => [...sources(folder)]);
}

function* sources(folder) {
  if (folder.endsWith('.ts')) {
    yield folder;
    return;
  }
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (entry.isFile() && /(?<!\.d)\.ts$/.test(entry.name))
      yield join(entry.parentPath ?? entry.path, entry.name);
  }
}

function* imports(text) {
  const pattern =
    /^\s*(?:import|export)\s+(type\s)?[^'";]*?from\s+'([^']+)'|^\s*import\s+'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/gm;
  for (const match of text.matchAll(pattern)) {
    yield { specifier: match[2] ?? match[3] ?? match[4], typeOnly: match[1] !== undefined };
  }
}
