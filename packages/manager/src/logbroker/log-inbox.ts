import { LOG_LINE_COST_BYTES, type LogLine, type LogOptions, type LogResume } from '@swarm/api';
import type { LogChannel } from '../dispatcher/log-channel.js';
import { LineQueue } from './line-queue.js';
import {
  CREDIT_MAX_BYTES,
  CREDIT_MIN_BYTES,
  MESSAGE_BYTES,
  STREAM_CREDIT_BYTES,
  STREAM_UNREAD_LIMIT_BYTES,
} from './limits.js';
import type { LogItem } from './log-item.js';

/** One request to one agent. Later tasks get a subscription of their own. */
export interface Subscription {
  readonly id: string;
  readonly nodeId: string;
  readonly taskIds: ReadonlySet<string>;
  /** Bytes that the agent may send ahead of the reader. */
  readonly creditBytes: number;
  /** Its bytes in the queue. */
  queuedBytes: number;
  /** Bytes read for which the agent has not got new credit yet. */
  owedBytes: number;
}

export interface SubscriptionRequest {
  readonly nodeId: string;
  readonly taskIds: readonly string[];
  readonly options: LogOptions;
  readonly resume: readonly LogResume[];
}

/** An item on its way to the reader. */
interface Queued {
  readonly item: LogItem;
  readonly bytes: number;
  readonly subscription?: Subscription;
}

/**
 * The queue between the agents of a stream and its reader, with the credit of each agent: it bounds what waits
 * here, however fast agents are and however slow the reader is.
 */
export class LogInbox {
  readonly #id: string;
  readonly #channel: LogChannel;
  readonly #queue = new LineQueue<Queued>();
  readonly #subscriptions = new Map<string, Subscription>();
  /** Unread bytes by node, over all its subscriptions. */
  readonly #unreadOf = new Map<string, number>();
  #unreadBytes = 0;
  /** Credit of all open subscriptions. */
  #grantedBytes = 0;
  #number = 0;
  #notices = 0;

  constructor(id: string, channel: LogChannel) {
    this.#id = id;
    this.#channel = channel;
  }

  get size(): number {
    return this.#subscriptions.size;
  }

  /** Notices that the reader has not read yet. */
  get notices(): number {
    return this.#notices;
  }

  /**
   * Asks a node. False when it has no session.
   * @param shares nodes that are asked together and share what credit is left
   */
  open({ nodeId, taskIds, options, resume }: SubscriptionRequest, shares = 1): boolean {
    const left = Math.max(0, STREAM_CREDIT_BYTES - this.#grantedBytes);
    const share = Math.floor(left / Math.max(1, shares));
    const creditBytes = Math.min(Math.max(share, CREDIT_MIN_BYTES), CREDIT_MAX_BYTES);
    this.#number += 1;
    const id = `${this.#id}.${this.#number}`;
    const sent = this.#channel.sendLog(nodeId, {
      type: 'log-subscribe',
      subscription: id,
      taskIds,
      options,
      creditBytes,
      resume,
    });
    if (!sent) return false;
    this.#grantedBytes += creditBytes;
    const tasks = new Set(taskIds);
    const fresh = { id, nodeId, taskIds: tasks, creditBytes, queuedBytes: 0, owedBytes: 0 };
    this.#subscriptions.set(id, fresh);
    return true;
  }

  /** The subscription of this id, if it is this node's. */
  get(id: string, nodeId: string): Subscription | undefined {
    const subscription = this.#subscriptions.get(id);
    return subscription?.nodeId === nodeId ? subscription : undefined;
  }

  ofNode(nodeId: string): Subscription[] {
    return [...this.#subscriptions.values()].filter((each) => each.nodeId === nodeId);
  }

  put(subscription: Subscription, line: LogLine): void {
    const { nodeId } = subscription;
    const bytes = line.data.byteLength + LOG_LINE_COST_BYTES;
    subscription.queuedBytes += bytes;
    this.#unreadBytes += bytes;
    this.#unreadOf.set(nodeId, (this.#unreadOf.get(nodeId) ?? 0) + bytes);
    this.#queue.put({ item: { type: 'line', nodeId, line }, bytes, subscription });
  }

  putNotice(item: LogItem): void {
    this.#notices += 1;
    this.#queue.put({ item, bytes: 0 });
  }

  isBeyondCredit({ queuedBytes, creditBytes }: Subscription): boolean {
    return queuedBytes > creditBytes + MESSAGE_BYTES;
  }

  /** Whether the reader is too far behind all agents to take anything. */
  get isFull(): boolean {
    return this.#unreadBytes > STREAM_UNREAD_LIMIT_BYTES;
  }

  /** Whether the reader is too far behind to take more from this node. */
  isBehind(nodeId: string): boolean {
    return (
      (this.#unreadOf.get(nodeId) ?? 0) > CREDIT_MAX_BYTES / 2 ||
      this.#unreadBytes > STREAM_UNREAD_LIMIT_BYTES / 2
    );
  }

  /** The agent is done, or gone. What it sent stays in the queue. */
  forget(subscription: Subscription): void {
    if (!this.#subscriptions.delete(subscription.id)) return;
    this.#grantedBytes -= subscription.creditBytes;
  }

  /** Has the agent stop. */
  cancel(subscription: Subscription): void {
    this.forget(subscription);
    const { id, nodeId } = subscription;
    this.#channel.sendLog(nodeId, { type: 'log-unsubscribe', subscription: id });
  }

  /** Waits for the next item and gives its agent new credit; undefined at the end. One reader only. */
  async take(): Promise<LogItem | undefined> {
    const queued = await this.#queue.take();
    if (queued === undefined) return undefined;
    const { subscription, bytes, item } = queued;
    if (subscription === undefined) {
      this.#notices -= 1;
      return item;
    }
    this.#giveCredit(subscription, bytes);
    const { nodeId } = subscription;
    this.#unreadBytes -= bytes;
    const left = (this.#unreadOf.get(nodeId) ?? 0) - bytes;
    if (left > 0) this.#unreadOf.set(nodeId, left);
    else this.#unreadOf.delete(nodeId);
    return item;
  }

  /** Has all agents stop. The reader still gets what is in the queue. */
  end(): void {
    for (const subscription of [...this.#subscriptions.values()]) this.cancel(subscription);
    this.#queue.end();
  }

  #giveCredit(subscription: Subscription, bytes: number): void {
    subscription.queuedBytes -= bytes;
    subscription.owedBytes += bytes;
    const { id, nodeId, owedBytes, creditBytes } = subscription;
    // Half a window at a time keeps the agent sending without a message per line.
    if (owedBytes < creditBytes / 2 || !this.#subscriptions.has(id)) return;
    subscription.owedBytes = 0;
    this.#channel.sendLog(nodeId, { type: 'log-credit', subscription: id, bytes: owedBytes });
  }
}
