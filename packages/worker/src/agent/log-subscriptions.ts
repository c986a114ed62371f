import {
  type Clock,
  cutText,
  LOG_LINE_COST_BYTES,
  type LogLine,
  type LogPlace,
  type LogSubscribe,
  type Timer,
} from '@swarm/api';
import { LOG_ERROR_LIMIT_BYTES } from '@swarm/api/wire';
import { messageOf } from '../runtime/runtime-error.js';
import { LOG_FLUSH_MS, LOG_MESSAGE_LIMIT_BYTES, SUBSCRIPTIONS_LIMIT } from './limits.js';
import { LogPace } from './log-pace.js';
import { reportableLines } from './reportable.js';
import type { AgentSession } from './session.js';
import { Signal } from './signal.js';

/** Opens a task's log, as `TaskRuntime.logs` does; throws for a task that is not on this node. */
export type LogSource = (
  taskId: string,
  options: LogSubscribe['options'],
  place: LogPlace | undefined,
) => AsyncIterable<LogLine>;

/** The log subscriptions of one session. */
export class LogSubscriptions {
  readonly #session: AgentSession;
  readonly #source: LogSource;
  readonly #clock: Clock;
  readonly #pace: LogPace;
  readonly #subscriptions = new Map<string, Subscription>();

  constructor(session: AgentSession, source: LogSource, clock: Clock) {
    this.#session = session;
    this.#source = source;
    this.#clock = clock;
    this.#pace = new LogPace(clock);
  }

  subscribe(message: LogSubscribe): void {
    const id = message.subscription;
    if (this.#subscriptions.has(id)) return;
    if (this.#subscriptions.size >= SUBSCRIPTIONS_LIMIT) {
      const error = `this node already serves ${SUBSCRIPTIONS_LIMIT} log readers; try again when some have finished`;
      this.#session.send({ type: 'log-end', subscription: id, error });
      return;
    }
    const subscription = new Subscription(message, {
      session: this.#session,
      source: this.#source,
      clock: this.#clock,
      pace: this.#pace,
      flushMs: () => LOG_FLUSH_MS * Math.ceil(this.#subscriptions.size / FLUSHES_AT_ONCE),
    });
    this.#subscriptions.set(id, subscription);
    void subscription.run().finally(() => this.#subscriptions.delete(id));
  }

  credit(id: string, bytes: number): void {
    this.#subscriptions.get(id)?.credit(bytes);
  }

  unsubscribe(id: string): void {
    this.#subscriptions.get(id)?.close();
  }

  close(): void {
    for (const subscription of this.#subscriptions.values()) subscription.close();
  }
}

/** Subscriptions that send at the usual interval; more of them send less often, so that statuses get through. */
const FLUSHES_AT_ONCE = 8;

/** What the subscriptions of a session share. */
interface Shared {
  readonly session: AgentSession;
  readonly source: LogSource;
  readonly clock: Clock;
  readonly pace: LogPace;
  /** How long lines are collected. */
  readonly flushMs: () => number;
}

/**
 * Merges the logs of several tasks. Holds at most one message of lines and one line per task: the reader's
 * credit and the socket slow down the reading of files.
 */
class Subscription {
  readonly #message: LogSubscribe;
  readonly #session: AgentSession;
  readonly #source: LogSource;
  readonly #clock: Clock;
  readonly #pace: LogPace;
  readonly #flushMs: () => number;
  readonly #places: ReadonlyMap<string, LogPlace>;
  readonly #changed = new Signal();
  readonly #open = new Set<AsyncIterator<LogLine>>();
  #creditBytes: number;
  #lines: LogLine[] = [];
  #bytes = 0;
  #timer: Timer | undefined;
  #sending: Promise<void> | undefined;
  #closed = false;

  constructor(message: LogSubscribe, { session, source, clock, pace, flushMs }: Shared) {
    this.#message = message;
    this.#session = session;
    this.#source = source;
    this.#clock = clock;
    this.#pace = pace;
    this.#flushMs = flushMs;
    this.#places = new Map(message.resume?.map((each) => [each.taskId, each]));
    this.#creditBytes = message.creditBytes ?? Number.POSITIVE_INFINITY;
  }

  credit(bytes: number): void {
    this.#creditBytes += bytes;
    this.#changed.fire();
  }

  close(): void {
    this.#closed = true;
    this.#clock.clearTimeout(this.#timer);
    this.#changed.fire();
    // Not awaited: a generator that waits for a line ends only when the next one comes.
    for (const iterator of this.#open) void iterator.return?.();
  }

  async run(): Promise<void> {
    const errors: string[] = [];
    const readers = this.#message.taskIds.map(async (taskId) => {
      try {
        await this.#read(taskId);
      } catch (error) {
        errors.push(messageOf(error));
      }
    });
    await Promise.all(readers);
    await this.#flush();
    if (this.#closed) return;
    this.#session.send({
      type: 'log-end',
      subscription: this.#message.subscription,
      ...(errors.length === 0 ? {} : { error: cutText(errors.join(' '), LOG_ERROR_LIMIT_BYTES) }),
    });
  }

  async #read(taskId: string): Promise<void> {
    const { options, resume } = this.#message;
    // A manager that joins no pieces takes no marks either.
    const place = this.#places.get(taskId) ?? (resume === undefined ? undefined : {});
    const iterator = this.#source(taskId, options, place)[Symbol.asyncIterator]();
    this.#open.add(iterator);
    try {
      while (!this.#closed) {
        const next = await iterator.next();
        if (next.done === true) return;
        for (const line of reportableLines(next.value, this.#clock.now())) await this.#write(line);
      }
    } finally {
      this.#open.delete(iterator);
    }
  }

  async #write(line: LogLine): Promise<void> {
    const bytes = line.data.byteLength + LOG_LINE_COST_BYTES;
    while (!this.#closed && this.#bytes > 0 && this.#bytes + bytes > LOG_MESSAGE_LIMIT_BYTES) {
      await this.#flush();
    }
    this.#lines.push(line);
    this.#bytes += bytes;
    this.#timer ??= this.#clock.setTimeout(() => void this.#flush(), this.#flushMs());
  }

  #flush(): Promise<void> {
    this.#sending ??= this.#send().finally(() => {
      this.#sending = undefined;
    });
    return this.#sending;
  }

  async #send(): Promise<void> {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    while (!this.#closed && this.#creditBytes <= 0) await this.#changed.next();
    await this.#pace.take(this.#bytes);
    if (this.#closed || this.#session.closed || this.#lines.length === 0) return;
    const lines = this.#lines;
    this.#creditBytes -= this.#bytes;
    this.#lines = [];
    this.#bytes = 0;
    const { subscription } = this.#message;
    await this.#session.sendAll({ type: 'log', subscription, lines });
  }
}
