import {
  type AgentLog,
  type AgentLogEnd,
  isTerminal,
  LOG_LINE_COST_BYTES,
  type LogLine,
  type LogOptions,
  type Task,
} from '@swarm/api';
import type { LogChannel, LogListener } from '../dispatcher/log-channel.js';
import type { Store, StoreChange } from '../store/store.js';
import { LineQueue } from './line-queue.js';
import { type LogSelector, selectedTasks, selects } from './selector.js';

/** How far all agents together may run ahead of the reader, shared among them; */
const STREAM_BYTES = 1024 * 1024;
/** and the least and most for one agent. */
const CREDIT_MIN_BYTES = 16 * 1024;
const CREDIT_MAX_BYTES = 256 * 1024;
/** How far an agent may overshoot its credit: by one message. */
const MESSAGE_BYTES = 64 * 1024;
/** Most subscriptions of one stream; with the credit, this bounds its memory. */
const SUBSCRIPTIONS_LIMIT = 4_096;
/** Most reasons named in a warning; the rest are counted. */
const REASONS_LIMIT = 20;

/** What a reader of logs gets. */
export type LogItem =
  | { readonly type: 'line'; readonly nodeId: string; readonly line: LogLine }
  | { readonly type: 'warning'; readonly message: string };

/** One request to one agent. Later tasks get a subscription of their own. */
interface Subscription {
  readonly id: string;
  readonly nodeId: string;
  readonly taskIds: readonly string[];
  /** Its bytes in the queue. */
  queuedBytes: number;
  /** Bytes read for which the agent has not got new credit yet. */
  owedBytes: number;
}

/** An item on its way to the reader. */
interface Queued {
  readonly item: LogItem;
  readonly bytes: number;
  readonly subscription?: Subscription;
}

export interface LogStreamOptions {
  readonly id: string;
  readonly store: Store;
  readonly channel: LogChannel;
  readonly selector: LogSelector;
  readonly log: LogOptions;
  /** Called once, when the stream ends. */
  readonly closed: () => void;
}

/** The logs of some tasks as one stream, with the lines of all nodes in order of arrival. */
export class LogStream implements AsyncIterableIterator<LogItem>, LogListener {
  readonly #options: LogStreamOptions;
  readonly #queue = new LineQueue<Queued>();
  readonly #subscriptions = new Map<string, Subscription>();
  /** Subscribed tasks with the time of the last line each sent. */
  readonly #tasks = new Map<string, string>();
  readonly #reasons = new Set<string>();
  /** Unread bytes by node, over all its subscriptions. */
  readonly #unread = new Map<string, number>();
  /** Nodes that reconnected and get a new subscription once the reader has read what they sent before. */
  readonly #back = new Set<string>();
  #warningsQueued = 0;
  readonly #unwatch: () => void;
  #reasonsDropped = 0;
  #creditBytes = CREDIT_MAX_BYTES;
  #number = 0;
  #closed = false;

  constructor(options: LogStreamOptions) {
    this.#options = options;
    this.#unwatch = options.log.follow
      ? options.store.watch((change) => this.#changed(change))
      : () => {};
    this.#subscribeFirst();
  }

  #subscribeFirst(): void {
    const { store, selector, log } = this.#options;
    const byNode = new Map<string, string[]>();
    for (const task of selectedTasks(store, selector)) {
      if (task.NodeID === undefined) {
        // It has no log yet. With follow, it gets a subscription once it has a node.
        if (!log.follow && !isTerminal(task.Status.State)) {
          this.#reason(`task ${task.ID} has not been scheduled`);
        }
        continue;
      }
      this.#tasks.set(task.ID, '');
      const taskIds = byNode.get(task.NodeID);
      if (taskIds === undefined) byNode.set(task.NodeID, [task.ID]);
      else taskIds.push(task.ID);
    }
    const share = Math.floor(STREAM_BYTES / Math.max(1, byNode.size));
    this.#creditBytes = Math.min(Math.max(share, CREDIT_MIN_BYTES), CREDIT_MAX_BYTES);
    for (const [nodeId, taskIds] of byNode) this.#subscribe(nodeId, taskIds, log);
    this.#finishIfDone();
  }

  #subscribe(nodeId: string, taskIds: readonly string[], options: LogOptions): void {
    if (this.#subscriptions.size >= SUBSCRIPTIONS_LIMIT) {
      this.#reason(`more than ${SUBSCRIPTIONS_LIMIT} logs are read at once`);
      return;
    }
    this.#number += 1;
    const id = `${this.#options.id}.${this.#number}`;
    const sent = this.#options.channel.sendLog(nodeId, {
      type: 'log-subscribe',
      subscription: id,
      taskIds,
      options,
      creditBytes: this.#creditBytes,
    });
    const fresh = { id, nodeId, taskIds, queuedBytes: 0, owedBytes: 0 };
    if (sent) this.#subscriptions.set(id, fresh);
    else this.#reason(`node ${this.#nodeName(nodeId)} is not available`);
  }

  // --- From nodes

  message(nodeId: string, message: AgentLog | AgentLogEnd): void {
    const subscription = this.#subscriptions.get(message.subscription);
    // The message belongs to another stream, or comes from the wrong node.
    if (this.#closed || subscription?.nodeId !== nodeId) return;
    if (message.type === 'log') {
      this.#lines(subscription, message.lines);
      return;
    }
    this.#subscriptions.delete(subscription.id);
    if (message.error !== undefined) {
      this.#reason(`node ${this.#nodeName(nodeId)}: ${message.error}`);
    }
    this.#finishIfDone();
  }

  #lines(subscription: Subscription, lines: readonly LogLine[]): void {
    const { id, nodeId, taskIds } = subscription;
    for (const line of lines) {
      if (!this.#tasks.has(line.taskId) || !taskIds.includes(line.taskId)) continue;
      this.#tasks.set(line.taskId, line.timestamp);
      const bytes = line.data.byteLength + LOG_LINE_COST_BYTES;
      subscription.queuedBytes += bytes;
      this.#unread.set(nodeId, (this.#unread.get(nodeId) ?? 0) + bytes);
      this.#queue.put({ item: { type: 'line', nodeId, line }, bytes, subscription });
    }
    if (subscription.queuedBytes <= this.#creditBytes + MESSAGE_BYTES) return;
    // Only an agent that ignores its credit gets here.
    this.#subscriptions.delete(id);
    this.#options.channel.sendLog(nodeId, { type: 'log-unsubscribe', subscription: id });
    this.#reason(`node ${this.#nodeName(nodeId)} sent faster than the logs were read`);
    this.#finishIfDone();
  }

  connected(nodeId: string): void {
    const { store, selector, log } = this.#options;
    if (this.#closed || !log.follow) return;
    // Each subscription brings new credit: a node that keeps reconnecting would fill the memory.
    if (this.#isBehind(nodeId)) {
      this.#back.add(nodeId);
      return;
    }
    const taskIds: string[] = [];
    let since: string | undefined;
    for (const task of selectedTasks(store, selector)) {
      if (task.NodeID !== nodeId) continue;
      const last = this.#tasks.get(task.ID) || undefined;
      this.#tasks.set(task.ID, last ?? '');
      taskIds.push(task.ID);
      if (last !== undefined && (since === undefined || last < since)) since = last;
    }
    if (taskIds.length === 0) return;
    // Resumes where the node broke off. A line of that very time may come twice; none is lost.
    this.#subscribe(nodeId, taskIds, since === undefined ? log : { ...log, tail: -1, since });
  }

  disconnected(nodeId: string): void {
    if (this.#closed) return;
    this.#back.delete(nodeId);
    for (const subscription of this.#subscriptions.values()) {
      if (subscription.nodeId !== nodeId) continue;
      this.#subscriptions.delete(subscription.id);
      this.#reason(`node ${this.#nodeName(nodeId)} disconnected unexpectedly`);
    }
    this.#finishIfDone();
  }

  // --- Tasks that come later

  #changed(change: StoreChange): void {
    const { selector, log, channel } = this.#options;
    for (const event of change.events) {
      if (event.kind !== 'task') continue;
      const task: Task = event.object;
      if (event.action === 'remove') {
        this.#tasks.delete(task.ID);
        continue;
      }
      if (task.NodeID === undefined || this.#tasks.has(task.ID) || !selects(selector, task))
        continue;
      // A node that is away gets a subscription when it comes back.
      if (!channel.isConnected(task.NodeID)) continue;
      this.#tasks.set(task.ID, '');
      this.#subscribe(task.NodeID, [task.ID], { ...log, tail: -1 });
    }
  }

  // --- To the reader

  async next(): Promise<IteratorResult<LogItem, undefined>> {
    const queued = await this.#queue.take();
    if (queued === undefined) return { done: true, value: undefined };
    const { subscription, bytes } = queued;
    if (subscription === undefined) this.#warningsQueued -= 1;
    else {
      this.#giveCredit(subscription, bytes);
      this.#wasRead(subscription.nodeId, bytes);
    }
    return { done: false, value: queued.item };
  }

  /** Ends the stream for the reader; agents stop sending. */
  async return(): Promise<IteratorResult<LogItem, undefined>> {
    this.#close();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #giveCredit(subscription: Subscription, bytes: number): void {
    subscription.queuedBytes -= bytes;
    subscription.owedBytes += bytes;
    const { id, nodeId, owedBytes } = subscription;
    // Half a window at a time keeps the agent sending without a message per line.
    if (owedBytes < this.#creditBytes / 2 || !this.#subscriptions.has(id)) return;
    subscription.owedBytes = 0;
    this.#options.channel.sendLog(nodeId, {
      type: 'log-credit',
      subscription: id,
      bytes: owedBytes,
    });
  }

  #wasRead(nodeId: string, bytes: number): void {
    const left = (this.#unread.get(nodeId) ?? 0) - bytes;
    if (left > 0) this.#unread.set(nodeId, left);
    else this.#unread.delete(nodeId);
    if (!this.#isBehind(nodeId) && this.#back.delete(nodeId)) this.connected(nodeId);
  }

  /** Whether the reader is too far behind to take more from this node. */
  #isBehind(nodeId: string): boolean {
    return (this.#unread.get(nodeId) ?? 0) > this.#creditBytes / 2;
  }

  #nodeName(nodeId: string): string {
    return this.#options.store.get('node', nodeId)?.Description?.Hostname || nodeId;
  }

  #reason(reason: string): void {
    if (this.#options.log.follow) {
      // A following stream reports at once what it misses; while its reader stalls, only the first reasons.
      if (this.#warningsQueued < REASONS_LIMIT) this.#warn([reason]);
    } else if (this.#reasons.size < REASONS_LIMIT) this.#reasons.add(reason);
    else this.#reasonsDropped += 1;
  }

  #warn(reasons: readonly string[]): void {
    this.#warningsQueued += 1;
    this.#queue.put({ item: { type: 'warning', message: incomplete(reasons) }, bytes: 0 });
  }

  #finishIfDone(): void {
    if (!this.#options.log.follow && this.#subscriptions.size === 0) this.#finish();
  }

  /** Ends the stream after a last warning about what is missing. */
  #finish(): void {
    if (this.#closed) return;
    if (this.#reasons.size > 0) {
      const more = this.#reasonsDropped > 0 ? [`and ${this.#reasonsDropped} more`] : [];
      this.#warn([...this.#reasons, ...more]);
    }
    this.#close();
  }

  /** Ends the stream with a reason, for instance that this manager no longer leads. */
  fail(reason: string): void {
    if (this.#closed) return;
    // The last warning ignores the limit on queued warnings.
    if (this.#options.log.follow) this.#warn([reason]);
    else this.#reason(reason);
    this.#finish();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unwatch();
    for (const { id, nodeId } of this.#subscriptions.values()) {
      this.#options.channel.sendLog(nodeId, { type: 'log-unsubscribe', subscription: id });
    }
    this.#subscriptions.clear();
    this.#queue.end();
    this.#options.closed();
  }
}

function incomplete(reasons: readonly string[]): string {
  return (
    'warning: incomplete log stream. some logs could not be retrieved for the following reasons: ' +
    reasons.join(', ')
  );
}
