import { setTimeout as delay } from 'node:timers/promises';
import type { RaftStatus } from '@swarm/raft';
import type { HostileCluster } from './cluster.js';
import type { Daemon } from './daemon.js';
import { heapBytes } from './heap.js';
import { LogTail } from './log-tail.js';
import type { Problems } from './problems.js';
import type { Stalls } from './stalls.js';

const EVERY_MS = 250;
const LEADER_LIMIT_MS = 1_000;
/** When things take this many times longer, an election is the machine's fault. */
const OVERLOADED = 2;
const MIB = 1024 * 1024;
/** Most growth of the heap after a garbage collection, without the log, */
const HEAP_GROWTH_LIMIT_BYTES = 48 * MIB;
/** which is in memory until it is compacted. A small entry holds at most a slab of Node's buffer pool. */
const HEAP_BYTES_PER_ENTRY = 8 * 1024;
/** Most growth of resident memory between collections. */
const RESIDENT_GROWTH_LIMIT_BYTES = 400 * MIB;
/** Most bytes of log: a fixed part, and a part for each message. */
const LOG_FIXED_BYTES = 4 * MIB;
const LOG_BYTES_PER_MESSAGE = 20;
/**
 * Log entries: the budgets of seven hostile nodes (dispatcher/limits.ts), the orchestrator's replacements
 * of tasks that end, and the honest client.
 */
const ENTRIES_FIXED = 2_500;
const ENTRIES_PER_SECOND = 200;
const FILES_LIMIT = 1_500;
const FILES_LEFT_LIMIT = 60;

/** Figures of a daemon when the attack began. */
interface Before {
  readonly daemon: Daemon;
  readonly pid: number;
  readonly heapBytes: number;
  readonly residentBytes: number;
  readonly files: number;
  readonly tail: LogTail;
  readonly logBytes: number;
}

/** Measurements of a run, for its report. */
export interface Measured {
  entries: number;
  logBytes: number;
  heapGrowthBytes: number;
  residentMostBytes: number;
  leaderSlowestMs: number;
  elections: number;
}

/** Watches the daemons from outside: alive, with the same leader, within limits, without internal errors. */
export class Watch {
  readonly #cluster: HostileCluster;
  readonly #problems: Problems;
  readonly #stalls: Stalls;
  readonly #before: Before[] = [];
  /** Status of the leader. */
  #led: RaftStatus | undefined;
  #startIndex = 0;
  /** Entries in the leader's log. */
  #entriesHeld = 0;
  #startMs = 0;
  #isStopped = false;
  #work: Promise<void> | undefined;
  readonly measured: Measured = {
    entries: 0,
    logBytes: 0,
    heapGrowthBytes: 0,
    residentMostBytes: 0,
    leaderSlowestMs: 0,
    elections: 0,
  };

  constructor(cluster: HostileCluster, problems: Problems, stalls: Stalls) {
    this.#cluster = cluster;
    this.#problems = problems;
    this.#stalls = stalls;
  }

  async start(): Promise<void> {
    for (const daemon of this.#cluster.daemons) {
      const heap = await heapBytes(daemon);
      const tail = new LogTail(daemon);
      this.#before.push({
        ...{ daemon, pid: daemon.pid, heapBytes: heap, tail, logBytes: tail.bytes },
        residentBytes: daemon.residentBytes(),
        files: daemon.openFiles(),
      });
    }
    this.#led = await this.#cluster.raftStatus(this.#cluster.managers[0]!);
    this.#startIndex = this.#led.lastIndex;
    this.#startMs = performance.now();
    this.#work = this.#run();
  }

  /** Stops, once the attack is over. @param messages how many were sent */
  async stop(messages: number): Promise<void> {
    this.#isStopped = true;
    await this.#work;
    for (const { daemon, tail, logBytes, heapBytes: heapBefore, files } of this.#before) {
      if (!daemon.up) continue;
      await this.#lines(daemon, tail);
      const logged = tail.bytes - logBytes;
      this.measured.logBytes += logged;
      const allowed = LOG_FIXED_BYTES + messages * LOG_BYTES_PER_MESSAGE;
      if (logged > allowed)
        this.#problems.add(
          `${daemon.name} logged ${logged} bytes, more than ${allowed}, for ${messages} messages`,
        );
      const grown = (await heapBytes(daemon)) - heapBefore;
      this.measured.heapGrowthBytes = Math.max(this.measured.heapGrowthBytes, grown);
      if (grown > HEAP_GROWTH_LIMIT_BYTES + this.#entriesHeld * HEAP_BYTES_PER_ENTRY)
        this.#problems.add(`${daemon.name} keeps ${(grown / MIB).toFixed(0)} MiB more than before`);
      const left = daemon.openFiles() - files;
      if (left > FILES_LEFT_LIMIT)
        this.#problems.add(
          `${daemon.name} keeps ${left} more files and connections open than before`,
        );
    }
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      for (const before of this.#before) {
        this.#resources(before);
        await this.#lines(before.daemon, before.tail);
      }
      await this.#leader();
      await delay(EVERY_MS);
    }
  }

  #resources({ daemon, pid, residentBytes }: Before): void {
    if (!daemon.up) return;
    if (daemon.pid !== pid) this.#problems.add(`${daemon.name} is another process now`);
    const resident = daemon.residentBytes();
    this.measured.residentMostBytes = Math.max(this.measured.residentMostBytes, resident);
    const grown = resident - residentBytes;
    if (grown > RESIDENT_GROWTH_LIMIT_BYTES)
      this.#problems.add(
        `${daemon.name} takes ${(grown / MIB).toFixed(0)} MiB more memory than before`,
      );
    const files = daemon.openFiles();
    if (files > FILES_LIMIT)
      this.#problems.add(`${daemon.name} has ${files} files and connections open`);
  }

  async #lines(daemon: Daemon, tail: LogTail): Promise<void> {
    for (const { level, text } of await tail.read()) {
      if (level === 'error' || level === 'fatal')
        this.#problems.add(`${daemon.name} logged an error of its own: ${text}`);
      if (level === 'raw' && /Error|FATAL|at .*\.js:\d+/.test(text))
        this.#problems.add(`${daemon.name} printed: ${text}`);
    }
  }

  /** Checks that the leader answers within a second, and is still the leader. */
  async #leader(): Promise<void> {
    const { term, leader } = this.#led!;
    const found = this.#cluster.managers.find(({ address }) =>
      leader?.address.startsWith(`${address}:`),
    );
    if (found === undefined || !found.up) return;
    const start = this.#stalls.now();
    try {
      const status = await this.#cluster.raftStatus(found);
      const tookMs = this.#stalls.now() - start;
      this.measured.leaderSlowestMs = Math.max(this.measured.leaderSlowestMs, tookMs);
      this.#entries(status);
      if (tookMs > LEADER_LIMIT_MS * this.#stalls.slack)
        this.#problems.add(`the leader took ${tookMs.toFixed(0)} ms to answer`);
      if (status.term !== term || status.role !== 'leader') this.#follow(status);
    } catch (error) {
      this.#problems.add(`the leader did not answer: ${(error as Error).message}`);
    }
  }

  #entries({ firstIndex, lastIndex }: RaftStatus): void {
    const seconds = (performance.now() - this.#startMs) / 1_000;
    const allowed = ENTRIES_FIXED + seconds * ENTRIES_PER_SECOND;
    this.measured.entries = lastIndex - this.#startIndex;
    this.#entriesHeld = lastIndex - firstIndex;
    if (this.measured.entries > allowed)
      this.#problems.add(
        `the log grew by ${this.measured.entries} entries, more than ${allowed.toFixed(0)}`,
      );
  }

  /**
   * Reports a change of leader. A member that gets no processor for seconds loses its followers even
   * without an attack.
   */
  #follow(status: RaftStatus): void {
    this.measured.elections += 1;
    if (this.#stalls.slack < OVERLOADED)
      this.#problems.add(
        `the leader of term ${this.#led!.term} is ${status.role} in term ${status.term}`,
      );
    if (status.leader !== undefined) this.#led = status;
  }
}
