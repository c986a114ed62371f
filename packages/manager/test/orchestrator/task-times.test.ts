import {
  type Clock,
  compareStates,
  isTerminal,
  silentLogger,
  type Task,
  type TaskState,
} from '@swarm/api';
import { VirtualClock } from '@swarm/sim';
import test from 'ava';
import { AddressBook, createAllocator } from '../../src/allocator/index.js';
import type { ControlLoop } from '../../src/control-loop.js';
import { BatchWriter } from '../../src/dispatcher/batch-writer.js';
import { NodeBudgets } from '../../src/dispatcher/node-budgets.js';
import { orphanTasks } from '../../src/dispatcher/orphan-tasks.js';
import { StatusWriter } from '../../src/dispatcher/status-writer.js';
import { createOrchestrators } from '../../src/orchestrator/index.js';
import { createScheduler } from '../../src/scheduler/index.js';
import { nodeDraft, patch, put, serviceDraft } from '../support/objects.js';
import { START_MS } from '../support/start-time.js';
import { createTestStores, type TestStore } from '../support/test-store.js';
import { generator } from './generator.js';

const HOUR_MS = 3_600_000;

/** A host's clock that is wrong by a fixed time. */
function off(clock: VirtualClock, byMs: number): Clock {
  return {
    now: () => clock.now() + byMs,
    monotonicMs: () => clock.monotonicMs(),
    setTimeout: (callback, delayMs) => clock.setTimeout(callback, delayMs),
    clearTimeout: (timer) => clock.clearTimeout(timer),
    setImmediate: (callback) => clock.setImmediate(callback),
  };
}

/** A leader with the loops that write tasks, and the writer of what agents report. */
class SkewedLeader {
  readonly store: TestStore;
  readonly statuses: StatusWriter;
  readonly writer: BatchWriter;
  readonly #loops: ControlLoop[];

  constructor(store: TestStore, clock: Clock, randomBytes: (size: number) => Uint8Array) {
    this.store = store;
    const context = { store, clock, logger: silentLogger, randomBytes };
    const addresses = new AddressBook(context);
    const allocator = createAllocator(context, addresses);
    const scheduler = createScheduler(context, addresses);
    this.#loops = [addresses, allocator, scheduler, ...createOrchestrators(context)];
    this.writer = new BatchWriter(store, clock);
    this.statuses = new StatusWriter({
      view: store,
      writer: this.writer,
      clock,
      logger: silentLogger,
      budgets: new NodeBudgets(clock),
      timeMs: () => store.timeMs(),
    });
    for (const loop of this.#loops) loop.start();
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#loops.map((loop) => loop.stop()), this.statuses.stop()]);
    await this.writer.stop();
  }
}

const NEXT: Partial<Record<TaskState, TaskState>> = {
  assigned: 'accepted',
  accepted: 'preparing',
  preparing: 'ready',
  starting: 'running',
};

/** What the task's agent reports next; undefined: nothing. */
function reported(task: Task, random: (below: number) => number): TaskState | undefined {
  const { State } = task.Status;
  if (isTerminal(State) || compareStates(State, 'assigned') < 0) return undefined;
  if (compareStates(task.DesiredState, 'complete') > 0) return 'shutdown';
  if (State === 'ready') return task.DesiredState === 'ready' ? undefined : 'starting';
  if (State === 'running') return random(20) === 0 ? 'failed' : 'running';
  return random(25) === 0 ? 'rejected' : NEXT[State];
}

/** What went back in a change of a task, if anything. */
function jump(before: Task, after: Task): string | undefined {
  const times = ({ Status, UpdatedAt }: Task): Record<string, string | undefined> => ({
    UpdatedAt,
    Timestamp: Status.Timestamp,
    AppliedAt: Status.AppliedAt,
    StartedAt: Status.StartedAt,
  });
  const [old, now] = [times(before), times(after)];
  const back = Object.keys(now).find((key) => (now[key] ?? old[key] ?? '') < (old[key] ?? ''));
  if (back !== undefined) return `${back} went from ${old[back]} to ${now[back]}`;
  if (after.CreatedAt !== before.CreatedAt) return 'CreatedAt changed';
  const { Timestamp, State } = after.Status;
  if (State === before.Status.State && Timestamp !== before.Status.Timestamp)
    return `the time of ${State} changed`;
  return Timestamp < after.CreatedAt ? `${State} is older than the task` : undefined;
}

async function run(seed: number): Promise<string | undefined> {
  const random = generator(seed);
  const clock = new VirtualClock(START_MS);
  const hours = () => (random(5) - 2) * HOUR_MS;
  const clocks = [off(clock, 0), off(clock, hours()), off(clock, hours())];
  const stores = createTestStores(clocks);
  const skews = new Map(['n1', 'n2', 'n3'].map((id) => [id, hours()]));
  const bytes = (size: number) => Uint8Array.from({ length: size }, () => random(256));
  const lead = (at: number) =>
    new SkewedLeader(stores[at] as TestStore, clocks[at] as Clock, bytes);

  let fault: string | undefined;
  const [first] = stores as [TestStore];
  first.watch(({ events }) => {
    for (const event of events) {
      if (event.kind === 'task' && event.action === 'update')
        fault ??= jump(event.previous, event.object);
    }
  });
  for (const id of skews.keys()) await put(first, 'node', nodeDraft(id));
  const template = { ContainerSpec: { Image: 'v0' }, ForceUpdate: 0 };
  const spec = {
    TaskTemplate: { ...template, RestartPolicy: { Delay: 1e9 } },
    UpdateConfig: { Parallelism: 2, Monitor: 1e9, FailureAction: 'continue' as const },
    Mode: { Replicated: { Replicas: 4 } },
  };
  await put(first, 'service', serviceDraft('web', {}, spec));
  let leader = lead(0);
  for (let step = 1; step <= 120 && fault === undefined; step++) {
    await clock.advance(100);
    const { store } = leader;
    for (const task of [...store.list('task')]) {
      const State = reported(task, random);
      if (State === undefined) continue;
      const { NodeID = '' } = task;
      const Timestamp = new Date(clock.now() + (skews.get(NodeID) ?? 0)).toISOString();
      const status = { Timestamp, State, Message: `${State} ${random(3)}` };
      const reporter = { nodeId: NodeID, stored() {}, lost() {} };
      leader.statuses.submit(reporter, {
        type: 'status',
        sequence: step,
        updates: [{ taskId: task.ID, status }],
      });
    }
    const nodeId = `n${1 + random(3)}`;
    if (step % 30 === 0) {
      await leader.stop();
      leader = lead(random(3));
    } else if (step % 25 === 0) {
      await patch(store, 'service', 'web', (service) => ({
        ...service,
        SpecVersion: service.Version,
        Spec: {
          ...service.Spec,
          TaskTemplate: { ...service.Spec.TaskTemplate, ContainerSpec: { Image: `v${step}` } },
        },
      }));
    } else if (step % 37 === 0) {
      const now = () => store.timeMs();
      await orphanTasks(store, leader.writer, nodeId, 'its node is gone', now);
    } else if (step % 41 === 0) {
      await patch(store, 'node', nodeId, (node) => ({
        ...node,
        Status: { ...node.Status, State: node.Status.State === 'down' ? 'ready' : 'down' },
      }));
    }
  }
  await leader.stop();
  return fault && `seed ${seed}: ${fault}`;
}

test('no time of a task goes back, whatever the clocks of its node and of the leaders say', async (t) => {
  for (let seed = 1; seed <= 8; seed++) t.is(await run(seed), undefined);
});
