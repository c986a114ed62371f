import test, { type ExecutionContext } from 'ava';
import { settle, until, VirtualClock } from '@swarm/sim';
import { Leftovers } from '../src/agent/leftovers.js';
import { LEFTOVERS_LIMIT_MS } from '../src/agent/limits.js';
import { assigning, open } from './support/agent-bench.js';
import { makeTask } from './support/make-task.js';

type Bench = Awaited<ReturnType<typeof open>>;

/** Lets no stop of the task `old` end. Returns what ends them. */
function holdStop({ runtime }: Bench): () => void {
  let stopped = (): void => {};
  runtime.onStop.set('old', () => new Promise((resolve) => (stopped = resolve)));
  return () => {
    runtime.onStop.delete('old');
    stopped();
  };
}

const isStopping = ({ runtime }: Bench) =>
  runtime.calls.some((call) => call.startsWith('stop old'));

/** The task `next` says that it waits for another to stop, and is not prepared. */
async function nextWaits(t: ExecutionContext, { manager, runtime }: Bench): Promise<void> {
  await until('the reason', () =>
    /waiting for a task to stop/.test(manager.statuses.get('next')?.Message ?? ''),
  );
  t.false(runtime.calls.includes('prepare next'));
}

for (const how of ['should be removed', 'does not exist any more'] as const) {
  test(`A node that comes back stops a task that ${how} before it prepares others`, async (t) => {
    const old = makeTask('old');
    const bench = await open(assigning(old));
    await bench.manager.untilStatus('old', 'running');
    const finish = holdStop(bench);
    const left = { ...old, DesiredState: 'remove' as const };
    const next = makeTask('next');
    // Its successor may come first.
    assigning(next, ...(how === 'should be removed' ? [left] : []))(bench.manager);
    bench.manager.socket?.terminate();
    await until('the stop', () => isStopping(bench));
    await nextWaits(t, bench);
    finish();
    await bench.manager.untilStatus('next', 'running');
    await bench.close();
  });
}

test('A daemon that was killed while it stopped a task prepares no other before that one has stopped', async (t) => {
  const old = makeTask('old');
  const bench = await open(assigning(old));
  await bench.manager.untilStatus('old', 'running');
  const finish = holdStop(bench);
  const left = { ...old, DesiredState: 'shutdown' as const };
  bench.manager.assign([left]);
  await until('the stop', () => isStopping(bench));
  bench.runtime.calls.length = 0;
  assigning(makeTask('next'), left)(bench.manager);
  await bench.restart();
  await until('the stop goes on', () => isStopping(bench));
  await nextWaits(t, bench);
  finish();
  await bench.manager.untilStatus('next', 'running');
  await bench.close();
});

test('A stop in the middle of a session holds no other task up', async (t) => {
  const old = makeTask('old');
  const bench = await open(assigning(old));
  await bench.manager.untilStatus('old', 'running');
  const finish = holdStop(bench);
  bench.manager.assign([{ ...old, DesiredState: 'remove' }, makeTask('next')]);
  await bench.manager.untilStatus('next', 'running');
  t.is(bench.manager.statuses.get('old')?.State, 'running');
  finish();
  await bench.close();
});

test('New tasks wait for those left over until a limit, also when the set never ends', async (t) => {
  const clock = new VirtualClock();
  const leftovers = new Leftovers(clock);
  t.is(leftovers.wait(), undefined);
  leftovers.begin();
  leftovers.add(new Promise(() => {}));
  t.regex(leftovers.wait()?.message ?? '', /the list of what has to stop/);
  await clock.advance(LEFTOVERS_LIMIT_MS);
  t.is(leftovers.wait(), undefined);

  leftovers.begin();
  const gone = [new Promise<void>(() => {}), Promise.resolve()];
  for (const one of gone) leftovers.add(one);
  leftovers.end();
  await settle();
  t.regex(leftovers.wait()?.message ?? '', /a task to stop/);
  await clock.advance(LEFTOVERS_LIMIT_MS);
  t.is(leftovers.wait(), undefined);
});
