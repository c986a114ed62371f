import type { LogEntry } from './log-decoder.js';

type Stream = LogEntry['stream'];

export const STREAMS: readonly Stream[] = ['stdout', 'stderr'];

/** A place in one stream of the engine's log: it has been read up to this many entries of that very time. */
export interface EntryPlace {
  /** As in {@link LogEntry}, so that texts compare as times. */
  readonly timestamp: string;
  readonly entries: number;
}

/** `TIME/ENTRIES`. */
export function formatPosition({ timestamp, entries }: EntryPlace): string {
  return `${timestamp}/${entries}`;
}

/** A time as the engine writes it. */
export function nanoseconds(timeMs: number): string {
  return new Date(timeMs).toISOString().replace('Z', '000000Z');
}

/** Undefined for anything but what `formatPosition` made. */
export function parsePosition(position: string | undefined): EntryPlace | undefined {
  const [, seconds, fraction = '', entries] =
    /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z\/(\d{1,9})$/.exec(position ?? '') ?? [];
  if (seconds === undefined) return undefined;
  return { timestamp: `${seconds}.${fraction.padEnd(9, '0')}Z`, entries: Number(entries) };
}

/** Leaves out the entries of one stream that come before a place. Reads them in the order of their times. */
export class EntryFilter {
  readonly #from: EntryPlace;
  #entries = 0;
  #passed = false;

  constructor(from: EntryPlace) {
    this.#from = from;
  }

  isNew({ timestamp }: Pick<LogEntry, 'timestamp'>): boolean {
    if (this.#passed) return true;
    const { timestamp: from, entries } = this.#from;
    if (timestamp < from) return false;
    if (timestamp === from && this.#entries < entries) {
      this.#entries += 1;
      return false;
    }
    this.#passed = true;
    return true;
  }
}
