import type { Readable } from 'node:stream';
import type { LogOptions, LogPlace } from '@swarm/api';
import type { DockerTask } from './docker-task.js';
import type { EngineClient } from './engine-client.js';
import { LogDecoder, type LogEntry } from './log-decoder.js';
import {
  EntryFilter,
  type EntryPlace,
  nanoseconds,
  parsePosition,
  STREAMS,
} from './log-position.js';

type Stream = LogEntry['stream'];

/** How many entries to request at first when looking for the last lines. */
const TAIL_LEAST = 64;
const TAIL_GROWTH = 4;
const NEWLINE = 10;

/** The engine's log of one container, read from a moving place in each of its streams. */
export class ContainerLogSource {
  readonly #engine: EngineClient;
  readonly #task: DockerTask;
  readonly #options: LogOptions;
  readonly #signal: AbortSignal;
  readonly #places = new Map<Stream, EntryPlace>();
  #tail: number;

  constructor(
    engine: EngineClient,
    task: DockerTask,
    options: LogOptions,
    place: LogPlace | undefined,
    signal: AbortSignal,
  ) {
    this.#engine = engine;
    this.#task = task;
    this.#options = options;
    this.#signal = signal;
    this.#tail = options.tail;
    for (const stream of STREAMS) {
      const found = parsePosition(place?.[stream]);
      if (found !== undefined && options[stream]) this.#places.set(stream, found);
    }
    // What comes after a place is wanted whole.
    if (this.#places.size > 0) this.#tail = -1;
  }

  /** Where the stream goes on; undefined while it has had no entry. */
  place(stream: Stream): EntryPlace | undefined {
    return this.#places.get(stream);
  }

  /**
   * The engine counts the last entries of both streams together, and each piece of a long line as one. This
   * finds the places where the last lines of the wanted streams begin, reading little more than those.
   */
  async findTail(): Promise<void> {
    const tail = this.#tail;
    if (tail < 0) return;
    if (tail === 0) {
      if (!this.#options.follow) return;
      const now = { timestamp: nanoseconds(Date.now()), entries: 0 };
      for (const stream of this.#wanted) this.#places.set(stream, now);
      this.#tail = -1;
      return;
    }
    for (let count = Math.max(TAIL_LEAST, tail * 2); ; count *= TAIL_GROWTH) {
      const { entries, starts, latest } = await this.#lastLines(tail, count);
      if (entries >= count && starts.length <= tail) continue;
      this.#tail = -1;
      // With fewer lines, the options' `since` alone says where the log begins.
      if (starts.length <= tail) return;
      const kept = starts.slice(1);
      for (const stream of this.#wanted) {
        const first = kept.find((start) => start.stream === stream);
        const rest = { timestamp: (first ?? kept[0]!).timestamp, entries: 0 };
        this.#places.set(stream, (first === undefined ? latest.get(stream) : first.before) ?? rest);
      }
      return;
    }
  }

  /** @returns the beginnings of up to `tail + 1` last lines, and the ends of the streams */
  async #lastLines(tail: number, count: number) {
    const starts: {
      readonly stream: Stream;
      readonly timestamp: string;
      readonly before: EntryPlace | undefined;
    }[] = [];
    const latest = new Map<Stream, EntryPlace>();
    const isInside = new Set<Stream>();
    let entries = 0;
    const body = await this.#open({ stdout: true, stderr: true, tail: count, follow: false });
    for await (const entry of decode(body, this.#tty)) {
      const { stream, timestamp } = entry;
      entries += 1;
      if (!this.#options[stream]) continue;
      if (!isInside.has(stream)) starts.push({ stream, timestamp, before: latest.get(stream) });
      latest.set(stream, after(latest.get(stream), entry));
      if (entry.data.at(-1) === NEWLINE) isInside.delete(stream);
      else isInside.add(stream);
      if (starts.length > tail + 1) starts.shift();
    }
    return { entries, starts, latest };
  }

  async *entries(): AsyncGenerator<LogEntry, void, undefined> {
    const { stdout, stderr, follow } = this.#options;
    const body = await this.#open({ stdout, stderr, tail: this.#tail, follow });
    const filters = new Map(
      [...this.#places].map(([stream, place]) => [stream, new EntryFilter(place)] as const),
    );
    let failed = true;
    try {
      for await (const entry of decode(body, this.#tty)) {
        const { stream } = entry;
        if (filters.get(stream)?.isNew(entry) === false) continue;
        this.#places.set(stream, after(this.#places.get(stream), entry));
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

  get #wanted(): Stream[] {
    return STREAMS.filter((stream) => this.#options[stream]);
  }

  /** From the earliest place; from the options' `since` as long as a wanted stream has none. */
  get #since(): string | undefined {
    const times = this.#wanted.map((stream) => this.#places.get(stream)?.timestamp);
    const known = times.filter((time) => time !== undefined).sort();
    return known.length < times.length ? this.#options.since : (known[0] ?? this.#options.since);
  }

  #open(query: {
    stdout: boolean;
    stderr: boolean;
    tail: number;
    follow: boolean;
  }): Promise<Readable> {
    const since = this.#since;
    return this.#engine.stream('GET', `/containers/${this.#task.containerId}/logs`, {
      query: {
        ...query,
        tail: query.tail < 0 ? 'all' : query.tail,
        timestamps: true,
        since: since === undefined ? undefined : unixTime(since),
      },
      signal: this.#signal,
    });
  }
}

/** The place behind an entry. Times of one stream rise, unless the clock was set back. */
function after(place: EntryPlace | undefined, { timestamp }: LogEntry): EntryPlace {
  const isSame = place !== undefined && place.timestamp === timestamp;
  return { timestamp, entries: isSame ? place.entries + 1 : 1 };
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
