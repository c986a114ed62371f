import { silentLogger, systemClock } from '@swarm/api';
import test from 'ava';
import { SpareSandboxes } from '../../src/runtime/docker/spare-sandboxes.js';

test('a spare that is adopted again is still one spare', async (t) => {
  const removed: string[] = [];
  const spares = new SpareSandboxes({
    containers: {
      look: () => Promise.reject(new Error('nobody takes one here')),
      make: () => Promise.reject(new Error('nobody needs one here')),
      remove: async (id) => {
        removed.push(id);
      },
    },
    clock: systemClock(),
    logger: silentLogger,
    random: () => 0,
  });
  const spare = (Id: string) =>
    ({ Id, Names: [`/swarm-spare-${Id}`], State: 'running', Labels: {} }) as const;
  // The adoption of all containers is tried again when the engine fails half way.
  for (const id of ['one', 'two', 'one', 'two']) await spares.adopt(spare(id));
  t.deepEqual(removed, []);
  await spares.drop();
  t.deepEqual(removed, ['one', 'two']);
});
