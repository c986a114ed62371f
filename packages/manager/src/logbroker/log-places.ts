import type { LogLine } from '@swarm/api';
import type { PiecePlace, TaskPlace } from './log-item.js';

type Places = { -readonly [S in LogLine['stream']]?: PiecePlace };

/** How far the logs of some tasks were read. */
export class LogPlaces {
  readonly #tasks = new Map<string, Places>();

  constructor(places: readonly TaskPlace[] = []) {
    for (const { taskId, ...place } of places) this.#tasks.set(taskId, place);
  }

  /** A task of which nothing was read yet. */
  add(taskId: string): void {
    if (!this.#tasks.has(taskId)) this.#tasks.set(taskId, {});
  }

  remove(taskId: string): void {
    this.#tasks.delete(taskId);
  }

  has(taskId: string): boolean {
    return this.#tasks.has(taskId);
  }

  /** Undefined while nothing of the task was read. */
  of(taskId: string): Readonly<Places> | undefined {
    const place = this.#tasks.get(taskId);
    return place?.stdout === undefined && place?.stderr === undefined ? undefined : place;
  }

  /** Takes note of a piece. */
  advance({ taskId, stream, timestamp, position, data, partial }: LogLine): void {
    this.add(taskId);
    const place = this.#tasks.get(taskId)!;
    const last = place[stream];
    const at = position === undefined ? {} : { position };
    if (data.byteLength === 0 && partial === true) {
      place[stream] = { timestamp: last?.timestamp ?? timestamp, pieces: last?.pieces ?? 0, ...at };
      return;
    }
    const isSame = last !== undefined && last.pieces > 0 && last.timestamp === timestamp;
    place[stream] = { timestamp, pieces: isSame ? last.pieces + 1 : 1, ...at };
  }

  get size(): number {
    return this.#tasks.size;
  }

  /** Forgets all tasks but these. */
  keep(isKept: (taskId: string) => boolean): void {
    for (const taskId of this.#tasks.keys()) if (!isKept(taskId)) this.#tasks.delete(taskId);
  }

  list(): TaskPlace[] {
    return [...this.#tasks].map(([taskId, place]) => ({ taskId, ...place }));
  }
}

/** Time of the last piece of any stream; undefined when there was none. */
export function lastTimeOf({ stdout, stderr }: Readonly<Places>): string | undefined {
  const times = [stdout, stderr].flatMap((place) =>
    place === undefined || place.pieces === 0 ? [] : [place.timestamp],
  );
  return times.sort(compareTimes).at(-1);
}

/** Compares times of RFC 3339, whatever decimals and zone they have. */
export function compareTimes(a: string, b: string): number {
  const seconds = Math.floor(Date.parse(a) / 1000) - Math.floor(Date.parse(b) / 1000);
  return seconds !== 0 ? seconds : nanosecondsOf(a) - nanosecondsOf(b);
}

function nanosecondsOf(timestamp: string): number {
  return Number((/\.(\d{1,9})/.exec(timestamp)?.[1] ?? '').padEnd(9, '0'));
}

/**
 * Leaves out what an agent sends again after a break: one that does not know positions begins at a time, and
 * repeats the pieces of that time.
 */
export class RepeatFilter {
  readonly #from: PiecePlace;
  #left: number;
  #passed = false;

  constructor(from: PiecePlace) {
    this.#from = from;
    this.#left = from.pieces;
  }

  isNew({ timestamp, position }: LogLine): boolean {
    if (this.#passed || position !== undefined) return true;
    const order = compareTimes(timestamp, this.#from.timestamp);
    if (order < 0) return false;
    if (order === 0 && this.#left > 0) {
      this.#left -= 1;
      return false;
    }
    this.#passed = true;
    return true;
  }
}
