import {
  type AgentLog,
  type AgentLogEnd,
  type Clock,
  compareStates,
  isTerminal,
  type LogLine,
  type LogOptions,
  type Task,
  type Timer,
} from '@swarm/api';
import type { LogChannel, LogListener } from '../dispatcher/log-channel.js';
import type { Store, StoreChange } from '../store/store.js';
import {
  AWAY_NOTICE_MS,
  NODE_WAIT_MS,
  REASONS_LIMIT,
  STREAM_SUBSCRIPTIONS_LIMIT,
  SUBSCRIPTION_TASKS_LIMIT,
} from './limits.js';
import { LogInbox, resumeOf, type Subscription } from './log-inbox.js';
import type { LogItem, LogRequest } from './log-item.js';
import { compareTimes, lastTimeOf, LogPlaces, RepeatFilter } from './log-places.js';
import { selectedTasks, selects } from './selector.js';

export interface LogStreamOptions {
  readonly id: string;
  readonly store: Store;
  readonly channel: LogChannel;
  readonly clock: Clock;
  readonly request: LogRequest;
  /** Called once, when the stream ends. */
  readonly closed: () => void;
}

/** A selected task that is on a node. */
interface Followed {
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
interface FollowedNode {
  readonly tasks: Set<Followed>;
  /** Runs while it has no session. */
  timer?: Timer;
  /** The reader knows that it is away. */
  told: boolean;
}

/**
 * The logs of some tasks as one stream, with the lines of all nodes in order of arrival. `next` throws the
 * error that `fail` was given, after all lines.
 */
export class LogStream implements AsyncIterableIterator<LogItem>, LogListener {
  readonly #options: LogStreamOptions;
  readonly #log: LogOptions;
  readonly #inbox: LogInbox;
  readonly #places: LogPlaces;
  readonly #tasks = new Map<string, Followed>();
  readonly #nodes = new Map<string, FollowedNode>();
  /** By task and stream: what an agent without positions may send twice. */
  readonly #repeats = new Map<string, RepeatFilter>();
  readonly #reasons = new Set<string>();
  #reasonsDropped = 0;
  /** Nodes to ask again once the reader has read what they sent before. */
  readonly #parked = new Set<string>();
  readonly #unwatch: () => void;
  #error: Error | undefined;
  #closed = false;

  constructor(options: LogStreamOptions) {
    this.#options = options;
    const { request, id, channel, store } = options;
    this.#log = request.options;
    this.#inbox = new LogInbox(id, channel);
    this.#places = new LogPlaces(request.resume);
    this.#unwatch = this.#log.follow ? store.watch((change) => this.#changed(change)) : () => {};
    this.#begin();
  }

  #begin(): void {
    const { store, request } = this.#options;
    for (const task of selectedTasks(store, request.selector)) {
      const isLate = request.resume !== undefined && !this.#places.has(task.ID);
      if (this.#follow(task, isLate) || this.#log.follow || isTerminal(task.Status.State)) continue;
      const what = task.NodeID === undefined ? 'been scheduled' : 'started yet';
      this.#reason(`task ${task.ID} has not ${what}`);
    }
    for (const nodeId of this.#nodes.keys()) this.#ask(nodeId, this.#nodes.size);
    this.#finishIfDone();
  }

  /** Takes in a task once its node knows it: an earlier question would find no such task. */
  #follow(task: Task, late: boolean): boolean {
    const { NodeID: nodeId, ID: id } = task;
    if (nodeId === undefined || compareStates(task.Status.State, 'assigned') <= 0) return false;
    const followed: Followed = { id, nodeId, late, phase: 'waiting', removed: false };
    this.#tasks.set(id, followed);
    const node = this.#nodes.get(nodeId);
    if (node === undefined) this.#nodes.set(nodeId, { tasks: new Set([followed]), told: false });
    else node.tasks.add(followed);
    return true;
  }

  /** Asks a node for the tasks that wait for it. @param shares nodes that are asked at this time */
  #ask(nodeId: string, shares = 1): void {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) return;
    const waiting = [...node.tasks].filter(({ phase }) => phase === 'waiting');
    if (waiting.length === 0) return;
    // Each subscription brings new credit: a node that keeps reconnecting would fill the memory.
    if (this.#inbox.isBehind(nodeId)) {
      this.#parked.add(nodeId);
      return;
    }
    const begun = waiting.filter(({ id }) => this.#places.of(id) !== undefined);
    const fresh = waiting.filter(({ id }) => this.#places.of(id) === undefined);
    const groups = [
      [begun, { ...this.#log, tail: -1, ...sinceOf(this.#earliest(begun)) }],
      [fresh.filter(({ late }) => !late), this.#log],
      [fresh.filter(({ late }) => late), { ...this.#log, tail: -1 }],
    ] as const;
    const parts = groups.flatMap(([tasks, options]) =>
      chunks(tasks, SUBSCRIPTION_TASKS_LIMIT).map((part) => [part, options] as const),
    );
    for (const [part, options] of parts) {
      if (this.#subscribe(nodeId, part, options, shares * parts.length)) continue;
      this.#absent(nodeId, node);
      return;
    }
  }

  #subscribe(
    nodeId: string,
    tasks: readonly Followed[],
    options: LogOptions,
    shares: number,
  ): boolean {
    if (this.#inbox.size >= STREAM_SUBSCRIPTIONS_LIMIT) {
      this.#reason(`more than ${STREAM_SUBSCRIPTIONS_LIMIT} logs are read at once`, tasks[0]?.id);
      for (const task of tasks) task.phase = 'done';
      return true;
    }
    const resume = tasks.flatMap(({ id }) => {
      const place = this.#places.of(id);
      return place === undefined ? [] : [resumeOf(id, place)];
    });
    const taskIds = tasks.map(({ id }) => id);
    if (!this.#inbox.open({ nodeId, taskIds, options, resume }, shares)) return false;
    for (const task of tasks) {
      task.phase = 'reading';
      for (const stream of ['stdout', 'stderr'] as const) {
        const from = this.#places.of(task.id)?.[stream];
        if (from !== undefined && from.pieces > 0)
          this.#repeats.set(`${task.id}/${stream}`, new RepeatFilter(from));
      }
    }
    return true;
  }

  /** For agents that know no positions: the time that none of these tasks has gone beyond. */
  #earliest(tasks: readonly Followed[]): string | undefined {
    const times = tasks.map(({ id }) => lastTimeOf(this.#places.of(id) ?? {}));
    const known = times.filter((time) => time !== undefined).sort(compareTimes);
    return known.length < times.length ? this.#log.since : known[0];
  }

  // --- Nodes that come and go

  connected(nodeId: string): void {
    const node = this.#nodes.get(nodeId);
    if (this.#closed || node === undefined) return;
    this.#present(node);
    this.#ask(nodeId);
    this.#finishIfDone();
  }

  disconnected(nodeId: string): void {
    if (this.#closed) return;
    this.#parked.delete(nodeId);
    for (const subscription of this.#inbox.ofNode(nodeId)) this.#drop(subscription);
    const node = this.#nodes.get(nodeId);
    if (node !== undefined) this.#absent(nodeId, node);
    this.#finishIfDone();
  }

  /** What this subscription did not bring is asked for again. */
  #drop(subscription: Subscription): void {
    this.#inbox.forget(subscription);
    this.#settle(subscription, 'waiting');
  }

  #settle(subscription: Subscription, phase: 'waiting' | 'done'): void {
    for (const id of subscription.taskIds) {
      const task = this.#tasks.get(id);
      if (task?.removed) this.#release(id);
      else if (task?.phase === 'reading') task.phase = phase;
    }
  }

  #present(node: FollowedNode): void {
    this.#options.clock.clearTimeout(node.timer);
    delete node.timer;
    node.told = false;
  }

  /** A short absence costs the reader nothing: a node looks for a new leader, or restarts its daemon. */
  #absent(nodeId: string, node: FollowedNode): void {
    if (node.timer !== undefined || node.told) return;
    const { clock, store } = this.#options;
    const isDown = store.get('node', nodeId)?.Status.State !== 'ready';
    if (isDown && !this.#log.follow) {
      this.#missing(nodeId, node);
      return;
    }
    const waitMs = this.#log.follow ? AWAY_NOTICE_MS : NODE_WAIT_MS;
    node.timer = clock.setTimeout(() => {
      delete node.timer;
      this.#missing(nodeId, node);
      this.#finishIfDone();
    }, waitMs);
  }

  /** Reports once that a node with logs to read is away, and gives up on what will not come any more. */
  #missing(nodeId: string, node: FollowedNode): void {
    const { store } = this.#options;
    const waiting = [...node.tasks].filter(({ phase }) => phase === 'waiting');
    const [first] = waiting;
    if (first === undefined) return;
    node.told = true;
    const name = this.#nodeName(nodeId);
    if (!this.#log.follow) this.#reason(`node ${name} is not available`);
    else if (store.get('node', nodeId) === undefined) {
      this.#reason(
        `node ${name} was removed from the cluster, with the logs of its tasks`,
        first.id,
      );
    } else {
      this.#reason(`node ${name} is away: its logs go on when it is back`, first.id);
    }
    for (const task of waiting) if (!this.#mayComeBack(task)) task.phase = 'done';
  }

  /** Whether a follower waits for the log of a task whose node is away. */
  #mayComeBack({ id, nodeId }: Followed): boolean {
    const { store, request } = this.#options;
    if (!this.#log.follow || store.get('node', nodeId) === undefined) return false;
    // One who follows a task that has ended waits for no node.
    const task = store.get('task', id);
    const isNamed = request.selector.taskIds?.includes(id) === true;
    return task !== undefined && !(isNamed && isTerminal(task.Status.State));
  }

  // --- From nodes

  message(nodeId: string, message: AgentLog | AgentLogEnd): void {
    // Undefined for a message of another stream, or from the wrong node.
    const subscription = this.#inbox.get(message.subscription, nodeId);
    if (this.#closed || subscription === undefined) return;
    if (message.type === 'log') {
      this.#lines(subscription, message.lines);
      return;
    }
    this.#inbox.forget(subscription);
    this.#settle(subscription, 'done');
    if (message.error !== undefined) {
      const [taskId] = subscription.taskIds;
      this.#reason(`node ${this.#nodeName(nodeId)}: ${message.error}`, taskId);
    }
    this.#finishIfDone();
  }

  #lines(subscription: Subscription, lines: readonly LogLine[]): void {
    const { nodeId, taskIds } = subscription;
    if (this.#inbox.isFull) {
      // Leaves them to the agent, which is asked again from here once the reader has read on.
      this.#inbox.cancel(subscription);
      this.#settle(subscription, 'waiting');
      this.#parked.add(nodeId);
      return;
    }
    for (const line of lines) {
      if (!taskIds.has(line.taskId) || !this.#tasks.has(line.taskId)) continue;
      const repeats = this.#repeats.get(`${line.taskId}/${line.stream}`);
      if (repeats?.isNew(line) === false) continue;
      this.#places.advance(line);
      this.#inbox.put(subscription, line);
    }
    if (!this.#inbox.isBeyondCredit(subscription)) return;
    // Only an agent that ignores its credit gets here.
    this.#inbox.cancel(subscription);
    this.#settle(subscription, 'done');
    const [taskId] = taskIds;
    this.#reason(`node ${this.#nodeName(nodeId)} sent faster than the logs were read`, taskId);
    this.#finishIfDone();
  }

  // --- Tasks and services that come and go

  #changed(change: StoreChange): void {
    const { request } = this.#options;
    const asked = new Set<string>();
    let isLess = change.reset;
    for (const { kind, action, object } of change.events) {
      if (kind === 'service') {
        isLess ||= action === 'remove' && request.selector.serviceIds?.includes(object.ID) === true;
      }
      if (kind !== 'task') continue;
      const known = this.#tasks.get(object.ID);
      if (known === undefined) {
        if (action !== 'remove' && selects(request.selector, object) && this.#follow(object, true))
          asked.add(object.NodeID!);
        isLess ||= request.selector.taskIds?.includes(object.ID) === true;
        continue;
      }
      if (action === 'remove') this.#forget(known);
      else if (known.phase !== 'waiting' || !isTerminal(object.Status.State)) continue;
      else if (this.#nodes.get(known.nodeId)?.told && !this.#mayComeBack(known))
        known.phase = 'done';
      isLess = true;
    }
    const { channel } = this.#options;
    for (const nodeId of asked) {
      // A node that is away is asked when it comes back.
      if (channel.isConnected(nodeId)) this.#ask(nodeId, asked.size);
      else this.#absent(nodeId, this.#nodes.get(nodeId)!);
    }
    if (isLess) this.#finishIfDone();
  }

  #forget(task: Followed): void {
    const node = this.#nodes.get(task.nodeId);
    node?.tasks.delete(task);
    if (node?.tasks.size === 0) {
      this.#present(node);
      this.#nodes.delete(task.nodeId);
    }
    task.removed = true;
    // A node that still sends its last lines may do so.
    if (task.phase !== 'reading') this.#release(task.id);
  }

  #release(taskId: string): void {
    this.#tasks.delete(taskId);
    this.#places.remove(taskId);
    for (const stream of ['stdout', 'stderr']) this.#repeats.delete(`${taskId}/${stream}`);
  }

  // --- To the reader

  async next(): Promise<IteratorResult<LogItem, undefined>> {
    const item = await this.#inbox.take();
    if (item === undefined) {
      const error = this.#error;
      this.#error = undefined;
      if (error !== undefined) throw error;
      return { done: true, value: undefined };
    }
    for (const nodeId of this.#parked) {
      if (this.#inbox.isBehind(nodeId)) continue;
      this.#parked.delete(nodeId);
      if (!this.#closed) this.#ask(nodeId);
    }
    return { done: false, value: item };
  }

  /** Ends the stream for the reader; agents stop sending. */
  async return(): Promise<IteratorResult<LogItem, undefined>> {
    this.#close();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #nodeName(nodeId: string): string {
    return this.#options.store.get('node', nodeId)?.Description?.Hostname || nodeId;
  }

  #reason(reason: string, taskId?: string): void {
    if (this.#log.follow) {
      // A follower hears at once what it misses; while it reads nothing, only the first few.
      if (this.#inbox.notices >= REASONS_LIMIT) return;
      const about = taskId === undefined ? {} : { taskId };
      this.#inbox.putNotice({ type: 'notice', message: reason, ...about });
    } else if (this.#reasons.size < REASONS_LIMIT) this.#reasons.add(reason);
    else this.#reasonsDropped += 1;
  }

  #finishIfDone(): void {
    if (this.#closed || this.#inbox.size > 0 || this.#parked.size > 0) return;
    if (this.#log.follow ? this.#isOver() : !this.#isWaiting()) this.#finish();
  }

  /** Whether a node that was not found yet may still answer. */
  #isWaiting(): boolean {
    for (const node of this.#nodes.values()) if (node.timer !== undefined) return true;
    return false;
  }

  /** Whether nothing that was selected can write another line. */
  #isOver(): boolean {
    const { store, request } = this.#options;
    const { taskIds = [], serviceIds = [], nodeIds = [] } = request.selector;
    const isDone = (id: string): boolean => {
      const followed = this.#tasks.get(id);
      if (followed !== undefined) return followed.phase === 'done';
      const task = store.get('task', id);
      return task === undefined || isTerminal(task.Status.State);
    };
    const isGone = (id: string): boolean =>
      store.get('service', id) === undefined && store.setAside('service', id) === undefined;
    return nodeIds.length === 0 && taskIds.every(isDone) && serviceIds.every(isGone);
  }

  /** Ends the stream after a last warning about what is missing. */
  #finish(): void {
    if (this.#reasons.size > 0) {
      const more = this.#reasonsDropped > 0 ? [`and ${this.#reasonsDropped} more`] : [];
      const message = incomplete([...this.#reasons, ...more]);
      this.#inbox.putNotice({ type: 'warning', message });
    }
    this.#close();
  }

  /** Ends the stream with an error, for instance that this manager no longer leads. */
  fail(error: Error): void {
    if (this.#closed) return;
    this.#error = error;
    this.#close();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unwatch();
    for (const { timer } of this.#nodes.values()) this.#options.clock.clearTimeout(timer);
    this.#inbox.end();
    this.#options.closed();
  }
}

function sinceOf(since: string | undefined): { readonly since?: string } {
  return since === undefined ? {} : { since };
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  const parts: T[][] = [];
  for (let at = 0; at < items.length; at += size) parts.push(items.slice(at, at + size));
  return parts;
}

function incomplete(reasons: readonly string[]): string {
  return (
    'warning: incomplete log stream. some logs could not be retrieved for the following reasons: ' +
    reasons.join(', ')
  );
}
