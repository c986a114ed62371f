import test from 'ava';
import { NetNamespaces } from '../src/runtime/process/net-namespaces.js';
import { RuntimeError } from '../src/runtime/runtime-error.js';

test('A name that would be more than one word, or another path, reaches no command', async (t) => {
  const namespaces = new NetNamespaces(() => {
    throw new Error('nothing may be run');
  });
  const names = [
    '',
    'a b',
    'a\nnetns del b',
    '../../etc/passwd',
    'a/b',
    '.',
    '-all',
    'a;b',
    'ä',
    'a'.repeat(129),
  ];
  for (const name of names) {
    t.throws(() => namespaces.path(name), { instanceOf: RuntimeError }, name);
    await t.throwsAsync(namespaces.add(name), { instanceOf: RuntimeError }, name);
    await t.throwsAsync(namespaces.remove(name), { instanceOf: RuntimeError }, name);
  }
  t.is(namespaces.path('swarm-t1abc'), '/run/netns/swarm-t1abc');
});
