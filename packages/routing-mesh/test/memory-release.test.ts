import test from 'ava';
import { VirtualClock } from '@swarm/sim';
import type { Nft } from '../src/kernel/nft.js';
import { releaseMemory, releasingMemory } from '../src/system/memory-release.js';

function opened() {
  const clock = new VirtualClock();
  let released = 0;
  let isFailing = false;
  const nft: Nft = {
    kind: 'command',
    run: async () => {
      if (isFailing) throw new Error('refused');
    },
    check: async () => '',
    close() {},
  };
  const release = () => {
    released += 1;
  };
  const releasing = releasingMemory(nft, { clock, release });
  return {
    ...{ clock, nft: releasing, released: () => released },
    fail: () => {
      isFailing = true;
    },
  };
}

const LONG = 'x'.repeat(1 << 20);

test('memory is given back twice, a second after the last long text, and not after short ones', async (t) => {
  const { clock, nft, released } = opened();
  await nft.run('add element');
  await clock.advance(5000);
  t.is(released(), 0);
  await nft.run(LONG);
  await clock.advance(900);
  await nft.run(LONG);
  await clock.advance(900);
  t.is(released(), 0, 'another one came');
  await clock.advance(200);
  t.is(released(), 1);
  await clock.advance(10_000);
  t.is(released(), 2);
});

test('a text that is refused leaves as much behind; a closed filter gives nothing back', async (t) => {
  const { clock, nft, released, fail } = opened();
  fail();
  await t.throwsAsync(nft.run(LONG), { message: 'refused' });
  await clock.advance(1100);
  t.is(released(), 1);
  await t.throwsAsync(nft.run(LONG));
  nft.close();
  await clock.advance(1100);
  t.is(released(), 1);
});

test.serial('what nobody holds any more goes', async (t) => {
  let held: unknown = Array.from({ length: 1 << 20 }, (_, i) => ({ i }));
  const before = process.memoryUsage().heapUsed;
  t.truthy(held);
  held = undefined;
  await releaseMemory();
  t.true(before - process.memoryUsage().heapUsed > 16 << 20);
});
