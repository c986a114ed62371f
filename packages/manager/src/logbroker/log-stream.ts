import {
  type AgentLog,
  type AgentLogEnd,
  type Clock,
  cutText,
  isTerminal,
  type LogLine,
  type LogOptions,
} from '@swarm/api';
import type { LogChannel, LogListener } from '../dispatcher/log-channel.js';
import type { Store, StoreChange } from '../store/store.js';
import {
  AWAY_NOTICE_MS,
  AWAY_READY_NOTICE_MS,
  NODE_WAIT_MS,
  REASON_LIMIT_BYTES,
  REASONS_LIMIT,
  STREAM_SUBSCRIPTIONS_LIMIT,
  SUBSCRIPTION_TASKS_LIMIT,
} from './limits.js';
import { type Followed, type FollowedNode, FollowedTasks } from './followed-tasks.js';
import { LogInbox, type Subscription } from './log-inbox.js';
import type { LogItem, LogRequest } from './log-item.js';
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

/**
 * The logs of some tasks as one stream, with the lines of all nodes in order of arrival. `next` throws the
 * error that `fail` was given, after all lines.
 */
export class LogStream implements AsyncIterableIterator<LogItem>, LogListener {
  readonly #options: LogStreamOptions;
  readonly #log: LogOptions;
  readonly #inbox: LogInbox;
  readonly #tasks: FollowedTasks;
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
    this.#tasks = new FollowedTasks(options.clock, request.resume);
    this.#unwatch = this.#log.follow ? store.watch((change) => this.#changed(change)) : () => {};
    this.#begin();
  }

  #begin(): void {
    const { store, request } = this.#options;
    for (const task of selectedTasks(store, request.selector)) {
      const isFollowed = this.#tasks.add(task, false) !== undefined;
      if (isFollowed || this.#log.follow || isTerminal(task.Status.State)) continue;
      const what = task.NodeID === undefined ? 'been scheduled' : 'started yet';
      this.#reason(`task ${task.ID} has not ${what}`);
    }
    const nodes = [...this.#tasks.nodes()];
    for (const node of nodes) this.#ask(node, nodes.length);
    this.#finishIfDone();
  }

  /** Asks a node for the tasks that wait for it. @param shares nodes that are asked at this time */
  #ask(node: FollowedNode, shares = 1): void {
    const waiting = [...node.tasks].filter(({ phase }) => phase === 'waiting');
    if (waiting.length === 0) return;
    // Each subscription brings new credit: a node that keeps reconnecting would fill the memory.
    if (this.#inbox.isBehind(node.id)) {
      this.#parked.add(node.id);
      return;
    }
    const begun = waiting.filter((task) => this.#tasks.hasBegun(task));
    const fresh = waiting.filter((task) => !this.#tasks.hasBegun(task));
    const whole = { ...this.#log, tail: -1 };
    const since = this.#tasks.earliest(begun);
    const groups = [
      [begun, since === undefined ? whole : { ...whole, since }],
      [fresh.filter(({ late }) => !late), this.#log],
      [fresh.filter(({ late }) => late), whole],
    ] as const;
    const parts = groups.flatMap(([tasks, options]) =>
      chunks(tasks, SUBSCRIPTION_TASKS_LIMIT).map((part) => [part, options] as const),
    );
    for (const [part, options] of parts) {
      if (this.#subscribe(node.id, part, options, shares * parts.length)) continue;
      this.#absent(node);
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
    const taskIds = tasks.map(({ id }) => id);
    const request = { nodeId, taskIds, options, resume: this.#tasks.begin(tasks) };
    if (this.#inbox.open(request, shares)) return true;
    this.#tasks.settle(taskIds, 'waiting');
    return false;
  }

  // --- Nodes that come and go

  connected(nodeId: string): void {
    const node = this.#tasks.node(nodeId);
    if (this.#closed || node === undefined) return;
    this.#options.clock.clearTimeout(node.timer);
    node.timer = undefined;
    node.told = false;
    this.#ask(node);
    this.#finishIfDone();
  }

  disconnected(nodeId: string): void {
    if (this.#closed) return;
    this.#parked.delete(nodeId);
    for (const subscription of this.#inbox.ofNode(nodeId)) {
      this.#inbox.forget(subscription);
      // What it did not bring is asked for again.
      this.#tasks.settle(subscription.taskIds, 'waiting');
    }
    const node = this.#tasks.node(nodeId);
    if (node !== undefined) this.#absent(node);
    this.#finishIfDone();
  }

  /** A short absence costs the reader nothing: a node looks for a new leader, or restarts its daemon. */
  #absent(node: FollowedNode): void {
    if (node.timer !== undefined || node.told) return;
    const { clock, store } = this.#options;
    const isReady = () => store.get('node', node.id)?.Status.State === 'ready';
    if (!isReady() && !this.#log.follow) {
      this.#missing(node);
      return;
    }
    const wait = (ms: number, moreMs: number) => {
      node.timer = clock.setTimeout(() => {
        if (moreMs > 0 && isReady()) {
          wait(Math.min(ms, moreMs), moreMs - ms);
          return;
        }
        node.timer = undefined;
        this.#missing(node);
        this.#finishIfDone();
      }, ms);
    };
    if (this.#log.follow) wait(AWAY_NOTICE_MS, AWAY_READY_NOTICE_MS - AWAY_NOTICE_MS);
    else wait(NODE_WAIT_MS, 0);
  }

  /** Reports once that a node with logs to read is away, and gives up on what will not come any more. */
  #missing(node: FollowedNode): void {
    const { store } = this.#options;
    const waiting = [...node.tasks].filter(({ phase }) => phase === 'waiting');
    const [first] = waiting;
    if (first === undefined) return;
    node.told = true;
    const name = this.#nodeName(node.id);
    if (!this.#log.follow) this.#reason(`node ${name} is not available`);
    else if (store.get('node', node.id) === undefined) {
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
    this.#tasks.settle(subscription.taskIds, 'done');
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
      this.#tasks.settle(subscription.taskIds, 'waiting');
      this.#parked.add(nodeId);
      return;
    }
    for (const line of lines)
      if (taskIds.has(line.taskId) && this.#tasks.accept(line)) this.#inbox.put(subscription, line);
    if (!this.#inbox.isBeyondCredit(subscription)) return;
    // Only an agent that ignores its credit gets here.
    this.#inbox.cancel(subscription);
    this.#tasks.settle(subscription.taskIds, 'done');
    const [taskId] = taskIds;
    this.#reason(`node ${this.#nodeName(nodeId)} sent faster than the logs were read`, taskId);
    this.#finishIfDone();
  }

  // --- Tasks and services that come and go

  #changed(change: StoreChange): void {
    const { request, channel } = this.#options;
    const { serviceIds, taskIds } = request.selector;
    const asked = new Set<FollowedNode>();
    let isLess = change.reset;
    for (const { kind, action, object } of change.events) {
      if (kind === 'service' && action === 'remove')
        isLess ||= serviceIds?.includes(object.ID) === true;
      if (kind !== 'task') continue;
      const known = this.#tasks.get(object.ID);
      if (known === undefined) {
        isLess ||= taskIds?.includes(object.ID) === true;
        if (action === 'remove' || !selects(request.selector, object)) continue;
        const node = this.#tasks.add(object, true);
        if (node !== undefined) asked.add(node);
      } else if (action === 'remove') {
        this.#tasks.remove(known);
        isLess = true;
      } else if (known.phase === 'waiting' && isTerminal(object.Status.State)) {
        const isTold = this.#tasks.node(known.nodeId)?.told === true;
        if (isTold && !this.#mayComeBack(known)) known.phase = 'done';
        isLess = true;
      }
    }
    for (const node of asked) {
      // A node that is away is asked when it comes back.
      if (channel.isConnected(node.id)) this.#ask(node, asked.size);
      else this.#absent(node);
    }
    if (isLess) this.#finishIfDone();
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
      const node = this.#tasks.node(nodeId);
      if (!this.#closed && node !== undefined) this.#ask(node);
    }
    this.#finishIfDone();
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

  #reason(text: string, taskId?: string): void {
    const reason = cutText(text, REASON_LIMIT_BYTES);
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
    for (const { timer } of this.#tasks.nodes()) if (timer !== undefined) return true;
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
    for (const { timer } of this.#tasks.nodes()) this.#options.clock.clearTimeout(timer);
    this.#inbox.end();
    this.#options.closed();
  }
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
