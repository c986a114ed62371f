import { compareStates, isTerminal, type Task } from '@swarm/api';
import type { SpecDifference } from './task-dirty.js';
import { parseTime, stateSince } from './time.js';

/**
 * What the leader remembers of a service's tasks beside the store: since when they are in a condition of
 * which the store only keeps the latest. It is a help, never the truth: after a change of leader it is
 * taken anew from the timestamps of the stored statuses.
 */
export class Observations {
  /** First seen in state RUNNING. */
  readonly #runningSince = new Map<string, number>();
  /** First seen running and ready for traffic, and so ever since. */
  readonly #upSince = new Map<string, number>();
  /** Seen to listen on their ports at some time. */
  readonly #listened = new Set<string>();
  /** First seen with the wish to stop. */
  readonly #stoppingSince = new Map<string, number>();
  readonly #differences = new Map<string, SpecDifference>();
  #specVersion = -1;
  /** Slots that the update `updateKey` has replaced tasks of. */
  readonly touched = new Set<string>();
  /** Slots of that update in which a new task failed, with the task's id. */
  readonly failed = new Map<string, string>();
  /** When each of these slots was settled: its task was up, or failed. */
  readonly settledAt = new Map<string, number>();
  #updateKey = '';

  /** Takes in the tasks of the service as they are, and forgets those that are gone. */
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
      this.#differences,
    ] as const) {
      for (const id of map.keys()) if (!ids.has(id)) map.delete(id);
    }
  }

  runningSince(task: Task): number | undefined {
    return this.#runningSince.get(task.ID);
  }

  upSince(task: Task): number | undefined {
    return this.#upSince.get(task.ID);
  }

  /** Whether the task was ever seen to listen on its ports; nothing is known of before this leader's time. */
  hasListened(task: Task): boolean {
    return this.#listened.has(task.ID);
  }

  stoppingSince(task: Task): number | undefined {
    return this.#stoppingSince.get(task.ID);
  }

  /** A comparison of specs, made once per task and SpecVersion of the service. */
  difference(specVersion: number, task: Task, compare: () => SpecDifference): SpecDifference {
    if (specVersion !== this.#specVersion) {
      this.#differences.clear();
      this.#specVersion = specVersion;
    }
    const known = this.#differences.get(task.ID) ?? compare();
    this.#differences.set(task.ID, known);
    return known;
  }

  /** Starts the book of another update, if `key` is another. */
  openUpdate(key: string): void {
    if (key === this.#updateKey) return;
    this.#updateKey = key;
    this.touched.clear();
    this.failed.clear();
    this.settledAt.clear();
  }
}

/** Running, and listening on its ports as far as anyone watches that. */
export function isUp(task: Task): boolean {
  return task.Status.State === 'running' && task.Status.Ready !== false;
}

function keep(map: Map<string, number>, id: string, time: () => number): void {
  if (!map.has(id)) map.set(id, time());
}
