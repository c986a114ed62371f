import {
  type Clock,
  compareStates,
  type LogLine,
  type LogResume,
  type Task,
  type Timer,
} from '@swarm/api';
import type { LogRequest } from './log-item.js';
import { compareTimes, lastTimeOf, LogPlaces, RepeatFilter } from './log-places.js';

/** A selected task that is on a node. */
export interface Followed {
  readonly id: string;
  readonly nodeId: string;
  /** Whether it came after the stream's start: its log is read from the beginning. */
  readonly late: boolean;
  /** `waiting` for its node; `done` when its log is complete or cannot be read. */
  phase: 'waiting' | 'reading' | 'done';
  /** Removed from the store while its last lines come. */
  removed: boolean;
}

/** A node with selected tasks. */
export interface FollowedNode {
  readonly id: string;
  readonly tasks: Set<Followed>;
  /** Runs while it has no session. */
  timer: Timer | undefined;
  /** The reader knows that it is away. */
  told: boolean;
}

/** The tasks of a stream: on which nodes they are, and how far each was read. */
export class FollowedTasks {
  readonly #clock: Clock;
  readonly #isResumed: boolean;
  readonly #places: LogPlaces;
  readonly #tasks = new Map<string, Followed>();
  readonly #nodes = new Map<string, FollowedNode>();
  /** By task and stream: what an agent without positions may send twice. */
  readonly #repeats = new Map<string, RepeatFilter>();

  constructor(clock: Clock, resume: LogRequest['resume']) {
    this.#clock = clock;
    this.#isResumed = resume !== undefined;
    this.#places = new LogPlaces(resume);
  }

  get(taskId: string): Followed | undefined {
    return this.#tasks.get(taskId);
  }

  node(nodeId: string): FollowedNode | undefined {
    return this.#nodes.get(nodeId);
  }

  nodes(): Iterable<FollowedNode> {
    return this.#nodes.values();
  }

  /**
   * Takes in a task once its node knows it: an earlier question would find no such task.
   * @param late whether it came after the start of this stream
   * @returns its node; undefined when it is too early
   */
  add(task: Task, late: boolean): FollowedNode | undefined {
    const { NodeID: nodeId, ID: id } = task;
    if (nodeId === undefined || compareStates(task.Status.State, 'assigned') <= 0) return undefined;
    const isLate = this.#isResumed ? !this.#places.has(id) : late;
    const followed: Followed = { id, nodeId, late: isLate, phase: 'waiting', removed: false };
    this.#tasks.set(id, followed);
    let node = this.#nodes.get(nodeId);
    if (node === undefined) {
      node = { id: nodeId, tasks: new Set(), timer: undefined, told: false };
      this.#nodes.set(nodeId, node);
    }
    node.tasks.add(followed);
    return node;
  }

  /** The task is no longer in the store. A node that still sends its last lines may do so. */
  remove(task: Followed): void {
    const node = this.#nodes.get(task.nodeId);
    node?.tasks.delete(task);
    if (node?.tasks.size === 0) {
      this.#clock.clearTimeout(node.timer);
      this.#nodes.delete(task.nodeId);
    }
    task.removed = true;
    if (task.phase !== 'reading') this.#release(task.id);
  }

  /** These tasks are being read from now on. @returns where each goes on */
  begin(tasks: readonly Followed[]): LogResume[] {
    const resume: LogResume[] = [];
    for (const task of tasks) {
      task.phase = 'reading';
      const place = this.#places.of(task.id);
      if (place === undefined) continue;
      const { stdout, stderr } = place;
      resume.push({
        taskId: task.id,
        ...(stdout?.position !== undefined && { stdout: stdout.position }),
        ...(stderr?.position !== undefined && { stderr: stderr.position }),
      });
      for (const stream of ['stdout', 'stderr'] as const) {
        const from = place[stream];
        if (from !== undefined && from.pieces > 0)
          this.#repeats.set(`${task.id}/${stream}`, new RepeatFilter(from));
      }
    }
    return resume;
  }

  /** These tasks are not being read any more. */
  settle(taskIds: Iterable<string>, phase: 'waiting' | 'done'): void {
    for (const id of taskIds) {
      const task = this.#tasks.get(id);
      if (task?.removed) this.#release(id);
      else if (task?.phase === 'reading') task.phase = phase;
    }
  }

  /** Whether something of the task was read. */
  hasBegun({ id }: Followed): boolean {
    return this.#places.of(id) !== undefined;
  }

  /** Takes note of a piece. False for one that was read already, or of a task that is not followed. */
  accept(line: LogLine): boolean {
    if (!this.#tasks.has(line.taskId)) return false;
    if (this.#repeats.get(`${line.taskId}/${line.stream}`)?.isNew(line) === false) return false;
    this.#places.advance(line);
    return true;
  }

  /** For agents that know no positions: a time that none of these tasks has gone beyond. */
  earliest(tasks: readonly Followed[]): string | undefined {
    const times = tasks.map(({ id }) => lastTimeOf(this.#places.of(id) ?? {}));
    const known = times.filter((time) => time !== undefined).sort(compareTimes);
    return known.length < times.length ? undefined : known[0];
  }

  #release(taskId: string): void {
    this.#tasks.delete(taskId);
    this.#places.remove(taskId);
    for (const stream of ['stdout', 'stderr']) this.#repeats.delete(`${taskId}/${stream}`);
  }
}
