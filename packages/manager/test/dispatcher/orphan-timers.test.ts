import test from 'ava';
import { VirtualClock } from '@swarm/sim';
import { BatchWriter } from '../../src/dispatcher/batch-writer.js';
import { ORPHAN_AFTER_MS } from '../../src/dispatcher/limits.js';
import { OrphanTimers } from '../../src/dispatcher/orphan-timers.js';
import { nodeDraft, patch, put } from '../support/objects.js';
import { START_MS } from '../support/start-time.js';
import { createTestStore } from '../support/test-store.js';
import { servingTask } from './harness.js';

/** A node that is down, with a task that runs. */
async function world() {
  const clock = new VirtualClock(START_MS);
  const store = createTestStore({ clock });
  await put(store, 'node', nodeDraft('n1', { Status: { State: 'down', Addr: '198.18.0.1' } }));
  await put(store, 'task', servingTask('task', 'n1'));
  const writes: Promise<void>[] = [];
  const timers = new OrphanTimers({
    view: store,
    writer: new BatchWriter(store, clock),
    clock,
    timeMs: () => store.timeMs(),
    inBackground: (work) => writes.push(work),
  });
  const pass = async (ms: number) => {
    await clock.advance(ms);
    await Promise.all(writes);
  };
  const state = () => store.get('task', 'task')?.Status.State;
  return { clock, store, timers, pass, state };
}

test('the time that a node was down under an earlier leader counts', async (t) => {
  const { timers, pass, state } = await world();
  timers.start('n1', START_MS - ORPHAN_AFTER_MS + 5_000);
  await pass(4_000);
  t.is(state(), 'running');
  await pass(2_000);
  t.is(state(), 'orphaned');
});

test('a node that is back, removed, or up in the store keeps its tasks', async (t) => {
  const { store, timers, pass, state } = await world();
  timers.start('n1', START_MS);
  timers.cancel('n1');
  await pass(2 * ORPHAN_AFTER_MS);
  t.is(state(), 'running');
  timers.start('n1', START_MS + ORPHAN_AFTER_MS);
  timers.stop();
  await pass(2 * ORPHAN_AFTER_MS);
  t.is(state(), 'running');
  await patch(store, 'node', 'n1', (node) => ({
    ...node,
    Status: { ...node.Status, State: 'ready' },
  }));
  timers.start('n1', START_MS);
  await pass(2 * ORPHAN_AFTER_MS);
  t.is(state(), 'running');
});
