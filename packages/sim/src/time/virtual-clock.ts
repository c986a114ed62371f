import { withGlobal } from '@sinonjs/fake-timers';

/** Something that happens at a moment of virtual time, unless it is cancelled first. */
export interface ClockEvent {
  readonly atUs: number;
  readonly run: () => void;
  cancelled: boolean;
}

const US_PER_MS = 1000;
/**
 * The library is woken once for each page of time that has events in it; a page keeps its own
 * events in order. A library timer costs some twenty times as much as an event of a page.
 */
const PAGE_MS = 8;
const PAGE_US = PAGE_MS * US_PER_MS;
/** The library's timers reach 2^31-1 ms; the clock checks later events again on the way. */
const HOP_PAGES = 2 ** 27;
/** How often `until` checks its condition. */
const LOOK_MS = 10;

/**
 * Numbers instead of objects for timers: the library's timer objects cost more than everything else
 * it does.
 */
const LIBRARY = withGlobal({
  Date,
  setTimeout: () => 1,
  clearTimeout: () => undefined,
} as unknown as typeof globalThis);

/** A moment of real time in which Node runs all pending promise jobs, and all that these create. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * Time that passes only when told to, in whole microseconds, on @sinonjs/fake-timers. Events due at
 * the same moment happen in the order they were scheduled, so there is exactly one order of events.
 *
 * A simulation takes events out one by one (`next`); a test lets time pass (`advance`, `until`). It
 * has the shape of every clock that our packages take.
 */
export class VirtualClock {
  readonly #startMs: number;
  readonly #library = LIBRARY.createClock(0);
  /** Events of later pages, in order, by page number. */
  readonly #pages = new Map<number, ClockEvent[]>();
  /** Events of the current page, in order; those before `#at` have been taken out. */
  #page: ClockEvent[] = [];
  #at = 0;
  #number = 0;
  #nowUs = 0;
  #count = 0;

  /** @param startMs what `now` returns at the beginning */
  constructor(startMs = 0) {
    this.#startMs = startMs;
  }

  /** Since the beginning. */
  get nowUs(): number {
    return this.#nowUs;
  }

  /** Since the beginning. */
  get nowMs(): number {
    return this.#nowUs / US_PER_MS;
  }

  /** Number of events taken out. */
  get count(): number {
    return this.#count;
  }

  /** @param delayUs rounded; below 0 counts as 0 */
  after(delayUs: number, run: () => void): ClockEvent {
    const atUs = this.#nowUs + Math.max(0, Math.round(delayUs));
    const event: ClockEvent = { atUs, run, cancelled: false };
    const number = Math.floor(atUs / PAGE_US);
    if (number === this.#number) {
      insert(this.#page, event);
      return event;
    }
    const page = this.#pages.get(number);
    if (page !== undefined) {
      insert(page, event);
      return event;
    }
    this.#pages.set(number, [event]);
    this.#wakeAt(number);
    return event;
  }

  /** Takes out the next event and sets the time to its moment; undefined without events. */
  next(): ClockEvent | undefined {
    for (;;) {
      const event = this.#page[this.#at];
      if (event === undefined) {
        if (this.#pages.size === 0) return undefined;
        this.#library.next();
        continue;
      }
      this.#at++;
      if (event.cancelled) continue;
      this.#nowUs = Math.max(this.#nowUs, event.atUs);
      this.#count++;
      return event;
    }
  }

  // --- The shape of our packages' clocks

  now(): number {
    return this.#startMs + this.nowMs;
  }

  monotonicMs(): number {
    return this.nowMs;
  }

  setTimeout(callback: () => void, delayMs: number): ClockEvent {
    return this.after(delayMs * US_PER_MS, callback);
  }

  clearTimeout(timer: unknown): void {
    if (timer !== undefined) (timer as ClockEvent).cancelled = true;
  }

  setImmediate(callback: () => void): ClockEvent {
    return this.after(0, callback);
  }

  // --- For tests

  /** Number of events still to come. */
  get pending(): number {
    let pending = this.#page.slice(this.#at).filter(({ cancelled }) => !cancelled).length;
    for (const page of this.#pages.values()) {
      pending += page.filter(({ cancelled }) => !cancelled).length;
    }
    return pending;
  }

  /** Runs everything that needs no time: promise jobs and immediates. */
  settle(): Promise<void> {
    return this.advance(0);
  }

  /**
   * Lets time pass. Runs all promise jobs before the first event, after each event and at the end.
   */
  async advance(ms: number): Promise<void> {
    const endUs = this.#nowUs + ms * US_PER_MS;
    await settle();
    for (;;) {
      const atUs = this.#nextAtUs();
      if (atUs === undefined || atUs > endUs) break;
      this.next()?.run();
      await settle();
    }
    this.#nowUs = Math.max(this.#nowUs, endUs);
  }

  /** Simulates a hang of the event loop: time passes and nothing runs. */
  stall(ms: number): void {
    this.#nowUs += ms * US_PER_MS;
  }

  /** Lets time pass until `condition` holds. @throws when it does not within `limitMs` */
  async until(condition: () => boolean, what: string, limitMs = 30_000): Promise<void> {
    const endUs = this.#nowUs + limitMs * US_PER_MS;
    await this.settle();
    while (!condition()) {
      if (this.#nowUs >= endUs) throw new Error(`not within ${limitMs} ms: ${what}`);
      await this.advance(LOOK_MS);
    }
  }

  /** Does not turn the page: an event scheduled meanwhile may come before it. */
  #nextAtUs(): number | undefined {
    const waits = ({ cancelled }: ClockEvent): boolean => !cancelled;
    const here = this.#page.slice(this.#at).find(waits);
    if (here !== undefined) return here.atUs;
    let first: ClockEvent | undefined;
    for (const page of this.#pages.values()) {
      const event = page.find(waits);
      if (event !== undefined && event.atUs < (first?.atUs ?? Number.POSITIVE_INFINITY)) {
        first = event;
      }
    }
    return first?.atUs;
  }

  // --- Pages

  #turn(number: number): void {
    if (this.#library.now < number * PAGE_MS) {
      this.#wakeAt(number);
      return;
    }
    const page = this.#pages.get(number);
    if (page === undefined) return;
    this.#pages.delete(number);
    this.#page = page;
    this.#at = 0;
    this.#number = number;
  }

  #wakeAt(number: number): void {
    const nowPage = this.#library.now / PAGE_MS;
    const pages = Math.min(HOP_PAGES, number - nowPage);
    this.#library.setTimeout(() => this.#turn(number), pages * PAGE_MS);
  }
}

/** Inserts after all events that are due no later. New events are mostly the last. */
function insert(page: ClockEvent[], event: ClockEvent): void {
  let at = page.length;
  page.push(event);
  for (; at > 0 && page[at - 1]!.atUs > event.atUs; at--) page[at] = page[at - 1]!;
  page[at] = event;
}
