import type { Readable } from 'node:stream';
import type { LogLine, LogOptions } from '@swarm/api';
import { RuntimeError } from '../runtime-error.js';
import type { DockerTask } from './docker-task.js';
import type { EngineClient } from './engine-client.js';
import { EngineError, hasStatus, isConnectionLost } from './engine-error.js';
import { LogDecoder, type LogEntry } from './log-decoder.js';

/** How many entries to request at first when looking for the last lines of one stream among both. */
const TAIL_LEAST = 64;
const TAIL_GROWTH = 4;

/**
 * Reads a task's log from the engine: oldest first, in the engine's order. If the engine goes away while
 * following, continues from the same position when it is back.
 */
export function readContainerLog(
  engine: EngineClient,
  task: DockerTask,
  options: LogOptions,
): AsyncIterable<LogLine> {
  return {
    [Symbol.asyncIterator]() {
      const stop = new AbortController();
      const lines = generate(engine, task, options, stop.signal);
      return {
        next: () => lines.next(),
        return: () => {
          // A generator's own `return` waits for the next line, which may never come.
          stop.abort();
          return lines.return();
        },
      };
    },
  };
}

async function* generate(
  engine: EngineClient,
  task: DockerTask,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<LogLine, void, undefined> {
  if (!options.stdout && !options.stderr) return;
  if (options.follow) {
    // For a container that does not run, the engine ends the log at once.
    await Promise.race([task.untilStarted(), aborted(signal)]);
  }
  const reader = new LogSource(engine, task, options, signal);
  try {
    await reader.findTail();
    for (;;) {
      try {
        for await (const { stream, timestamp, data } of reader.entries()) {
          yield { taskId: task.taskId, stream, timestamp, data };
        }
        return;
      } catch (error) {
        if (signal.aborted || hasStatus(error, 404)) return;
        if (!isConnectionLost(error)) throw error;
      }
    }
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof EngineError) {
      throw new RuntimeError('failed', `The engine cannot read the log: ${error.message}`, {
        cause: error,
      });
    }
    throw error;
  }
}

/** The engine's log of one container, read from a moving position. */
class LogSource {
  readonly #engine: EngineClient;
  readonly #task: DockerTask;
  readonly #options: LogOptions;
  readonly #signal: AbortSignal;
  #since: string | undefined;
  #tail: number;
  /** Entries at exactly the time `#since` that were already delivered, or are not wanted. */
  #skip = 0;

  constructor(engine: EngineClient, task: DockerTask, options: LogOptions, signal: AbortSignal) {
    this.#engine = engine;
    this.#task = task;
    this.#options = options;
    this.#signal = signal;
    this.#since = options.since;
    this.#tail = options.tail;
  }

  /**
   * The engine counts the last lines of both streams together. To read only one, this finds the time of the
   * first of its last lines.
   */
  async findTail(): Promise<void> {
    const { stdout, stderr, tail } = this.#options;
    if (tail <= 0 || (stdout && stderr)) return;
    const wanted = stdout ? 'stdout' : 'stderr';
    for (let count = Math.max(TAIL_LEAST, tail * 2); ; count *= TAIL_GROWTH) {
      let all = 0;
      const last: string[] = [];
      const body = await this.#open({ stdout: true, stderr: true, tail: count, follow: false });
      for await (const { stream, timestamp } of decode(body, this.#tty)) {
        all += 1;
        if (stream !== wanted) continue;
        last.push(timestamp);
        if (last.length > tail) {
          const left = last.shift();
          this.#skip = left === last[0] ? this.#skip + 1 : 0;
        }
      }
      if (last.length < tail && all >= count) continue;
      this.#tail = -1;
      this.#since = last.length < tail ? this.#options.since : last[0];
      if (last.length < tail) this.#skip = 0;
      return;
    }
  }

  async *entries(): AsyncGenerator<LogEntry, void, undefined> {
    const { stdout, stderr, follow } = this.#options;
    const body = await this.#open({ stdout, stderr, tail: this.#tail, follow });
    const from = this.#since;
    let skip = this.#skip;
    let failed = true;
    try {
      for await (const entry of decode(body, this.#tty)) {
        if (skip > 0 && entry.timestamp === from) {
          skip -= 1;
          continue;
        }
        this.#skip = entry.timestamp === this.#since ? this.#skip + 1 : 1;
        this.#since = entry.timestamp;
        this.#tail = -1;
        yield entry;
      }
      failed = false;
    } finally {
      if (failed) body.destroy();
    }
  }

  get #tty(): boolean {
    return this.#task.details?.Config.Tty === true;
  }

  #open(query: {
    stdout: boolean;
    stderr: boolean;
    tail: number;
    follow: boolean;
  }): Promise<Readable> {
    return this.#engine.stream('GET', `/containers/${this.#task.containerId}/logs`, {
      query: {
        ...query,
        tail: query.tail < 0 ? 'all' : query.tail,
        timestamps: true,
        since: this.#since === undefined ? undefined : unixTime(this.#since),
      },
      signal: this.#signal,
    });
  }
}

async function* decode(body: Readable, tty: boolean): AsyncGenerator<LogEntry, void, undefined> {
  const decoder = new LogDecoder(tty);
  for await (const chunk of body as AsyncIterable<Buffer>) yield* decoder.push(chunk);
  yield* decoder.end();
}

/** `1700000000.123456789` for an RFC 3339 time: how the engine accepts nanoseconds. */
function unixTime(timestamp: string): string {
  const [, fraction = ''] = /\.(\d+)/.exec(timestamp) ?? [];
  const seconds = Math.floor(Date.parse(timestamp) / 1000);
  return `${seconds}.${fraction.padEnd(9, '0').slice(0, 9)}`;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
