import test from 'ava';
import { classesOf, sharedNames } from './class-names.mjs';

const names = (source) => classesOf(source).map(({ name }) => name);

const DECLARATIONS = [
  'class Session {}',
  'export class Session {}',
  'export default class Session {}',
  'export abstract class Session<T> extends Base {}',
  'function make() {\n  class Session {}\n}',
];

for (const source of DECLARATIONS) {
  test(`is found: ${source.replaceAll('\n', ' ')}`, (t) => {
    t.deepEqual(names(source), ['Session']);
  });
}

const OTHERS = [
  '// class Session {}',
  '/**\n * class Session\n */',
  "const text = 'class Session';",
  'export interface Session {}',
  'const subclass = classOf(session);',
];

for (const source of OTHERS) {
  test(`is no class: ${source.replaceAll('\n', ' ')}`, (t) => {
    t.deepEqual(names(source), []);
  });
}

test('a name that is given twice is told with its places', (t) => {
  const files = [
    { path: 'a.ts', source: '\nclass Session {}\nclass Agent {}\n' },
    { path: 'b.ts', source: 'export class Session {}\n' },
  ];
  t.deepEqual(sharedNames(files), [{ name: 'Session', at: ['a.ts:2', 'b.ts:1'] }]);
});
