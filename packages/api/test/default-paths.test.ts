import test from 'ava';
import { defaultDataRoot, defaultSocket, UsageError } from '../src/index.js';

test('a user without a home gets no shared folder as data root', (t) => {
  t.is(defaultDataRoot({ HOME: '/home/u' }, 7), '/home/u/.local/share/swarm');
  t.is(defaultDataRoot({ HOME: '/home/u', XDG_DATA_HOME: '/d' }, 7), '/d/swarm');
  t.is(defaultDataRoot({ HOME: '/home/u', XDG_DATA_HOME: 'd' }, 7), '/home/u/.local/share/swarm');
  t.is(defaultDataRoot({}, 0), '/var/lib/swarm');
  for (const env of [{}, { HOME: '' }, { HOME: 'relative' }])
    t.throws(() => defaultDataRoot(env, 7), {
      instanceOf: UsageError,
      message: /HOME.*--data-root/,
    });
});

test('a path that does not start at the root is ignored, a slash at its end makes no difference', (t) => {
  const socket = (env: Record<string, string>) => defaultSocket(env, 7).socketPath;
  t.is(socket({ XDG_RUNTIME_DIR: '/run/user/7/' }), '/run/user/7/swarm/swarm.sock');
  t.is(socket({ XDG_RUNTIME_DIR: 'run' }), '/tmp/swarm-7/swarm/swarm.sock');
  t.is(defaultDataRoot({ HOME: '/' }, 7), '//.local/share/swarm'.slice(1));
  t.is(defaultSocket({ XDG_RUNTIME_DIR: '/x' }, 0).socketPath, '/run/swarm/swarm.sock');
});
