import { compareStates, type Node, type Service, type Task } from '@swarm/api';
import type { ControlLoop, LoopContext } from '../control-loop.js';
import { SetAside } from '../set-aside.js';
import { isTooLarge } from '../store/batches.js';
import { type StoreChange, TRANSACTION_CHANGES_LIMIT, type Transaction } from '../store/store.js';
import { concernsTasks, type NodeMatcher } from './placement.js';
import { pausedFallback } from './revisions.js';
import { byAge } from './slot.js';
import { MISPLACED, OVERCOMMITTED, type StopCause, stopOf } from './stop.js';
import { specDifference } from './task-dirty.js';
import { formatTime, laterTime } from './time.js';
import { type PassResult, WorkQueue } from './work-queue.js';

const MESSAGE = 'assigned node no longer meets constraints';

/**
 * Rejects tasks that their node may no longer run because its labels, role or resources changed; the
 * orchestrators then move them elsewhere. Leaves paused and drained nodes alone: the user has already
 * decided what happens to their tasks.
 */
export class ConstraintEnforcer implements ControlLoop {
  readonly name = 'constraint-enforcer';
  readonly #context: LoopContext;
  readonly #nodeMatches: NodeMatcher;
  readonly #queue: WorkQueue;
  readonly #aside: SetAside;
  #unwatch: (() => void) | undefined;

  constructor(context: LoopContext, nodeMatches: NodeMatcher) {
    this.#context = context;
    this.#nodeMatches = nodeMatches;
    this.#aside = new SetAside(context.logger.child({ loop: this.name }));
    this.#queue = new WorkQueue({
      clock: context.clock,
      logger: context.logger.child({ loop: this.name }),
      run: (nodeId) => this.#enforce(nodeId),
    });
  }

  start(): void {
    this.#queue.start();
    this.#unwatch = this.#context.store.watch((change) => this.#react(change));
    this.#addAll();
  }

  async stop(): Promise<void> {
    this.#unwatch?.();
    await this.#queue.stop();
  }

  #addAll(): void {
    for (const node of this.#context.store.list('node')) this.#queue.add(node.ID);
  }

  #react(change: StoreChange): void {
    if (change.reset) this.#addAll();
    for (const event of change.events) {
      if (event.kind !== 'node') continue;
      if (event.action === 'remove') this.#queue.forget(event.object.ID);
      else if (event.action === 'create' || concernsTasks(event.previous, event.object)) {
        this.#queue.add(event.object.ID);
      }
    }
  }

  async #enforce(nodeId: string, limit = TRANSACTION_CHANGES_LIMIT): Promise<PassResult> {
    try {
      return await this.#reject(nodeId, limit);
    } catch (error) {
      if (!isTooLarge(error) || limit === 1) throw error;
      return this.#enforce(nodeId, Math.ceil(limit / 2));
    }
  }

  /** @param limit most tasks of one transaction */
  async #reject(nodeId: string, limit: number): Promise<PassResult> {
    return await this.#context.store.transact((tx) => {
      const node = tx.get('node', nodeId);
      if (node === undefined || node.Spec.Availability !== 'active') return {};
      if (node.Status.State === 'down') return {};
      const rejected = this.#violations(tx, node);
      const now = this.#context.store.timeMs();
      for (const { task, cause } of rejected.slice(0, limit)) {
        const service = tx.get('service', task.ServiceID);
        const isDirty = service !== undefined && specDifference(service, task) === 'other';
        tx.update('task', {
          ...task,
          Status: {
            ...task.Status,
            State: 'rejected',
            Message: MESSAGE,
            Err: cause.Reason,
            Timestamp: laterTime(task.Status.Timestamp, now),
            AppliedAt: formatTime(now),
          },
          // The orchestrators stop and move it; without this they would take it for a failure.
          Stop: stopOf(service, task, isDirty, cause),
        });
      }
      return { again: rejected.length > limit };
    });
  }

  /** A service whose constraints cannot be evaluated keeps its tasks. */
  #matches(service: Service, node: Node): boolean {
    return this.#aside.guard(
      'service',
      service,
      () => this.#nodeMatches(service, node),
      () => true,
    );
  }

  /** The spec that the task has to meet: while an update is paused, tasks may be of another than the service. */
  #madeOf(tx: Transaction, service: Service, task: Task): Service {
    if (task.SpecVersion.Index === service.SpecVersion.Index) return service;
    return pausedFallback(tx, service, this.#context.store.timeMs()) ?? service;
  }

  /** Oldest tasks first: when the node has too little for all, every leader keeps the same ones. */
  #violations(tx: Transaction, node: Node): { task: Task; cause: StopCause }[] {
    const violations: { task: Task; cause: StopCause }[] = [];
    let cpus = node.Description?.Resources.NanoCPUs ?? Number.POSITIVE_INFINITY;
    let memory = node.Description?.Resources.MemoryBytes ?? Number.POSITIVE_INFINITY;
    const tasks = [...tx.tasksByNode(node.ID)].filter(isEnforced).sort(byAge);
    for (const task of tasks) {
      const service = tx.get('service', task.ServiceID);
      if (service !== undefined && !this.#matches(this.#madeOf(tx, service, task), node)) {
        violations.push({ task, cause: MISPLACED });
        continue;
      }
      const wanted = task.Spec.Resources?.Reservations;
      const wantedCpus = wanted?.NanoCPUs ?? 0;
      const wantedMemory = wanted?.MemoryBytes ?? 0;
      // A task that reserves nothing fits everywhere, an overcommitted node included.
      if ((wantedCpus > 0 && wantedCpus > cpus) || (wantedMemory > 0 && wantedMemory > memory)) {
        violations.push({ task, cause: OVERCOMMITTED });
        continue;
      }
      cpus -= wantedCpus;
      memory -= wantedMemory;
    }
    return violations;
  }
}

/** Whether the task is on its node, should still run there (a job: complete), and has not ended. */
function isEnforced(task: Task): boolean {
  return (
    compareStates(task.DesiredState, 'assigned') >= 0 &&
    compareStates(task.DesiredState, 'complete') <= 0 &&
    compareStates(task.Status.State, 'assigned') >= 0 &&
    compareStates(task.Status.State, 'complete') < 0
  );
}
