import { compareStates, isTerminal, type Task, type TaskSpec } from '@swarm/api';
import type { SpecDifference } from './task-dirty.js';
import { parseTime, stateSince } from './time.js';

/**
 * What the leader remembers about a service's tasks beyond the store: since when each is running, up or
 * stopping, while the store keeps only the latest status. It is a hint, never the truth: a new leader
 * rebuilds it from the timestamps of the stored statuses.
 */
export class Observations {
  /** First seen in state RUNNING. */
  readonly #runningSince = new Map<string, number>();
  /** First seen up, and up ever since. */
  readonly #upSince = new Map<string, number>();
  /** Seen listening on their ports at some time. */
  readonly #listened = new Set<string>();
  /** First seen with a desired state beyond RUNNING. */
  readonly #stoppingSince = new Map<string, number>();
  /** By SpecVersion of the spec that tasks are compared with, then by the spec of a task, which many have. */
  readonly #differences = new Map<number, WeakMap<TaskSpec, SpecDifference>>();
  /** Slots in which the current update replaced tasks. */
  readonly touched = new Set<string>();
  /** Slots in which a task of the current update failed, with the task's id. */
  readonly failed = new Map<string, string>();
  /** When each of these slots settled: its task came up or failed. */
  readonly settledAt = new Map<string, number>();
  /** Whether as many slots as the update's parallelism have stood the monitor time. */
  hasBatchStood = false;
  #updateKey = '';

  /** Records the service's tasks as they are now, and forgets those that are gone. */
  observe(tasks: readonly Task[], now: number): void {
    const ids = new Set<string>();
    for (const task of tasks) {
      ids.add(task.ID);
      if (task.Status.State === 'running')
        keep(this.#runningSince, task.ID, () => stateSince(task, now));
      if (task.Status.State === 'running' && task.Status.Ready === true)
        this.#listened.add(task.ID);
      if (isUp(task)) keep(this.#upSince, task.ID, () => stateSince(task, now));
      else this.#upSince.delete(task.ID);
      if (compareStates(task.DesiredState, 'running') > 0 && !isTerminal(task.Status.State)) {
        keep(this.#stoppingSince, task.ID, () => Math.min(now, parseTime(task.UpdatedAt)));
      }
    }
    for (const map of [
      this.#runningSince,
      this.#upSince,
      this.#listened,
      this.#stoppingSince,
    ] as const) {
      for (const id of map.keys()) if (!ids.has(id)) map.delete(id);
    }
  }

  /** When the task started running, as stored or as this leader saw it; undefined when nobody did. */
  runningSince(task: Task): number | undefined {
    const { StartedAt } = task.Status;
    return StartedAt === undefined ? this.#runningSince.get(task.ID) : parseTime(StartedAt);
  }

  upSince(task: Task): number | undefined {
    return this.#upSince.get(task.ID);
  }

  /** Whether this leader ever saw the task listen on its ports. */
  hasListened(task: Task): boolean {
    return this.#listened.has(task.ID);
  }

  stoppingSince(task: Task): number | undefined {
    return this.#stoppingSince.get(task.ID);
  }

  /** Compares specs once for each spec of tasks and SpecVersion of the service, and caches the result. */
  difference(specVersion: number, task: Task, compare: () => SpecDifference): SpecDifference {
    let differences = this.#differences.get(specVersion);
    if (differences === undefined) {
      // A paused service compares with two specs, every other one with its own.
      const [oldest] = this.#differences.keys();
      if (this.#differences.size > 1 && oldest !== undefined) this.#differences.delete(oldest);
      differences = new WeakMap();
      this.#differences.set(specVersion, differences);
    }
    const known = differences.get(task.Spec) ?? compare();
    differences.set(task.Spec, known);
    return known;
  }

  /** Starts a fresh record when `key` names another update. */
  openUpdate(key: string): void {
    if (key === this.#updateKey) return;
    this.#updateKey = key;
    this.touched.clear();
    this.failed.clear();
    this.settledAt.clear();
    this.hasBatchStood = false;
  }
}

/** Whether the task is RUNNING and not reported as not listening on its ports. */
export function isUp(task: Task): boolean {
  return task.Status.State === 'running' && task.Status.Ready !== false;
}

function keep(map: Map<string, number>, id: string, time: () => number): void {
  if (!map.has(id)) map.set(id, time());
}
