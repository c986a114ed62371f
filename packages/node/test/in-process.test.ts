import type { Task } from '@swarm/api';
import { identity, MemoryDatabase, root, START_MS } from '@swarm/manager/testing';
import { MemoryDisk } from '@swarm/raft';
import { Prng, VirtualClock } from '@swarm/sim';
import test from 'ava';
import {
  InProcessManager,
  type InProcessOptions,
  memoryNetwork,
  ScriptedIssuer,
} from './support/in-process.js';

const RAFT_ID = 7;
/** Advances time until the promise settles. */
async function during<T>(clock: VirtualClock, work: Promise<T>, limitMs = 20_000): Promise<T> {
  let isOver = false;
  const over = () => {
    isOver = true;
  };
  work.then(over, over);
  for (let ms = 0; !isOver; ms += 10) {
    if (ms > limitMs) throw new Error(`not over after ${limitMs} ms of virtual time`);
    await clock.advance(10);
  }
  return work;
}

test('a real manager lives on virtual time, a disk and a network in memory', async (t) => {
  const clock = new VirtualClock(START_MS);
  const authority = await root(clock.now());
  const own = await identity(authority, clock.now(), { nodeId: 'first', role: 'manager' });
  const random = new Prng(1, 'manager').fraction;
  const issuer = new ScriptedIssuer();
  const world: Omit<InProcessOptions, 'start' | 'network'> = {
    ...{ nodeId: 'first', raftId: RAFT_ID, identity: own, clock, random, issuer },
    disk: new MemoryDisk(),
    database: new MemoryDatabase(),
  };
  const open = (kind: 'found' | 'restart') =>
    during(
      clock,
      InProcessManager.open({ ...world, start: { kind }, network: memoryNetwork(clock, random) }),
    );
  const first = await open('found');
  await during(clock, first.bootstrap(authority));
  t.true(first.manager.isLeader());

  const created = await during(
    clock,
    first.ask('POST', '/v1.50/services/create', {
      Name: 'web',
      TaskTemplate: { ContainerSpec: { Image: 'nginx:1' } },
      Mode: { Replicated: { Replicas: 3 } },
    }),
  );
  t.is(created.status, 201, JSON.stringify(created.json));
  await clock.advance(2_000);
  const tasks = async ({ ask }: Pick<InProcessManager, 'ask'>): Promise<Task[]> =>
    (await during(clock, ask('GET', '/v1.50/tasks'))).json;
  const found = await tasks({ ask: first.ask.bind(first) });
  t.deepEqual(found.map(({ Slot, ServiceID }) => [Slot, ServiceID]).sort(), [
    [1, created.json.ID],
    [2, created.json.ID],
    [3, created.json.ID],
  ]);
  // The allocator has processed them; the scheduler says that there is no node, because none has connected.
  for (const { Status } of found) {
    t.is(Status.State, 'pending');
    t.regex(Status.Err ?? Status.Message, /no suitable node/);
  }

  await during(clock, first.stop());
  const again = await open('restart');
  await clock.advance(5_000);
  const kept = await tasks({ ask: again.ask.bind(again) });
  t.deepEqual(kept.map(({ ID }) => ID).sort(), found.map(({ ID }) => ID).sort());
  t.is((await during(clock, again.ask('GET', '/info'))).json.Swarm.Nodes, 1);
  await during(clock, again.stop());
  t.is(clock.pending, 0, 'nothing waits for a manager that has stopped');
});
