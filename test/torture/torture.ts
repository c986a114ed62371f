import { setMaxListeners } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { History, Prng, type Verdict } from '@swarm/sim';
import { Client } from './client.js';
import { OperationCounts } from './counts.js';
import { MemberGroup } from './group.js';
import type { MemberHost } from './host.js';
import { KeyRing } from './key-ring.js';
import { Ledger } from './ledger.js';
import { Breakage, type Told } from './member-protocol.js';
import { FAULTS, GroupNemesis } from './nemesis.js';
import { Patience } from './patience.js';
import { TortureProblems } from './problems.js';
import type { Progress, TortureReport } from './report.js';
import { Terms } from './terms.js';

const CLIENTS = 10;
const PROGRESS_MS = 5_000;
/** The last lines that a member printed before it died. */
const LAST_LINES = 8;
/** Below 2^53, and short to type. */
export const SEED_LIMIT = 1_000_000;

export interface TortureOptions {
  /** Duration of the faults; 0: each kind once, in order. */
  readonly seconds: number;
  readonly members: number;
  /** For the choice of faults; their outcome depends on the machine. */
  readonly seed: number;
  /** Continue after a problem. Default: stop at the first. */
  readonly keepGoing?: boolean;
  /** Kinds of fault. Default: all. */
  readonly kinds?: readonly string[];
  /** Scales every pause, percent. Default 100. */
  readonly pacePercent?: number;
  /** Puts a fault into the members that must be found. Default: none. */
  readonly breakage?: Breakage;
  /** Ends the run early, in an orderly way. */
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  readonly onProblem?: (text: string) => void;
}

/**
 * Tortures real members, as processes, with clients and faults: see docs/torture.md. Leaves nothing
 * behind, except after a problem.
 */
export async function torture(options: TortureOptions): Promise<TortureReport> {
  const folder = await mkdtemp(join(tmpdir(), 'raft-torture-'));
  const run = new TortureRun(options, folder);
  try {
    return await run.run();
  } finally {
    if (run.isClean) await rm(folder, { recursive: true, force: true });
  }
}

class TortureRun {
  private readonly options: TortureOptions;
  private readonly folder: string;
  private readonly startMs = performance.now();
  private readonly calledOff = new AbortController();
  private readonly patience: Patience;
  private readonly history = new History();
  private readonly problems: TortureProblems;
  private readonly counts = new OperationCounts();
  private readonly terms: Terms;
  private readonly ring: KeyRing;
  private readonly ledger: Ledger;
  private verdict: Verdict | undefined;
  private fault = 'none yet';

  constructor(options: TortureOptions, folder: string) {
    this.options = options;
    this.folder = folder;
    this.patience = new Patience(AbortSignal.any([options.signal, this.calledOff.signal]));
    // Every pause of a client listens.
    setMaxListeners(2 * CLIENTS, this.patience.signal);
    this.problems = new TortureProblems((text) => {
      options.onProblem?.(text);
      if (options.keepGoing !== true) this.calledOff.abort(new Error('there is a problem'));
    });
    this.terms = new Terms(this.problems);
    this.ring = new KeyRing(this.history, this.problems);
    this.ledger = new Ledger(this.problems, (id) => this.history.operations[id - 1]);
  }

  /** True when there is nothing to look at. */
  get isClean(): boolean {
    return this.problems.all.length === 0;
  }

  async run(): Promise<TortureReport> {
    const { members, breakage = Breakage.None } = this.options;
    const { folder, patience } = this;
    const group = await MemberGroup.make({
      ...{ members, folder, patience, breakage },
      onTold: (who, what) => this.told(who, what),
      onDeath: (host, how) => this.died(host, how),
    });
    const clients: Client[] = [];
    const onExit = () => this.leaveNothing(group);
    process.once('exit', onExit);
    const progress = setInterval(() => void this.tellProgress(group), PROGRESS_MS);
    // Waiters for a paused process learn of its end.
    const release = () => void Promise.all(group.hosts.map((host) => host.kill()));
    patience.signal.addEventListener('abort', release);
    try {
      await group.bootstrap();
      clients.push(...this.startClients(group));
      await this.breakThings(group);
      await Promise.all(clients.map((client) => client.stop()));
      this.counts.endOfWrites();
      await group.settled();
      await this.readAll(group);
    } catch (error) {
      if (!patience.signal.aborted) this.problems.add(String((error as Error).message));
    } finally {
      clearInterval(progress);
      this.calledOff.abort(new Error('it is over'));
      await Promise.all(clients.map((client) => client.stop()));
      await group.down();
      patience.signal.removeEventListener('abort', release);
      process.off('exit', onExit);
    }
    if (!this.options.signal.aborted) this.verdict = this.ring.judgeAll();
    return this.report();
  }

  /** For when this process ends in the middle, by an error or a test's time limit. */
  private leaveNothing({ hosts }: MemberGroup): void {
    for (const host of hosts) host.killNow();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private startClients({ hosts }: MemberGroup): Client[] {
    const { ring, ledger, counts, patience, options } = this;
    const scene = { hosts, ring, ledger, counts, patience, horizon: { index: 0 } };
    return Array.from(
      { length: CLIENTS },
      (_, i) => new Client(i + 1, new Prng(options.seed, `client ${i + 1}`), scene),
    );
  }

  private async breakThings(group: MemberGroup): Promise<void> {
    const { patience, counts, problems, options } = this;
    const prng = new Prng(options.seed, 'faults');
    const { kinds, pacePercent = 100 } = options;
    const faults = FAULTS.filter(({ kind }) => kinds === undefined || kinds.includes(kind));
    const scene = { group, prng, patience, pacePercent, counts, problems };
    const nemesis = new GroupNemesis(scene, faults, (kind) => {
      this.fault = kind;
    });
    await nemesis.serves();
    if (options.seconds === 0) await nemesis.runAll();
    const endMs = performance.now() + options.seconds * 1000;
    while (performance.now() < endMs) await nemesis.runOne();
    await nemesis.serves();
  }

  /** The last state, on every member, counts as read: a lost write shows here. */
  private async readAll(group: MemberGroup): Promise<void> {
    for (const host of group.hosts) {
      await this.ring.readAll(host.id, async () => {
        const image = await group.image(host);
        this.ledger.compare(`member ${host.id}`, image);
        return image;
      });
    }
  }

  private died({ id, logPath }: MemberHost, how: string): void {
    const last = readFileSync(logPath, 'utf8').trimEnd().split('\n').slice(-LAST_LINES).join(' | ');
    this.problems.add(`member ${id} ended by itself (${how}): ${last}`);
  }

  private told(who: string, what: Told): void {
    switch (what.kind) {
      case 'applied':
        this.ledger.apply(who, what.lines);
        return;
      case 'restored':
        this.counts.snapshotsInstalled++;
        this.ledger.restored(who, what.state);
        return;
      case 'opened':
        this.ledger.restored(who, what.state);
        return;
      case 'leads':
        this.terms.led(what.term, who);
        return;
    }
  }

  private async tellProgress(group: MemberGroup): Promise<void> {
    const leader = await group.leaderNow();
    if (this.patience.signal.aborted) return;
    this.options.onProgress?.({ ...this.report(), fault: this.fault, leader: leader?.id });
  }

  private report(): TortureReport {
    const { counts, problems, options, folder } = this;
    const { seed, members } = options;
    return {
      seed,
      members,
      seconds: (performance.now() - this.startMs) / 1000,
      operations: { ...counts.operations },
      keys: this.ring.count,
      faults: { ...counts.faults },
      faultKinds: FAULTS.length,
      damages: { ...counts.damages },
      elections: this.terms.count,
      entries: this.ledger.lastIndex,
      snapshotsInstalled: counts.snapshotsInstalled,
      membersReplaced: counts.membersReplaced,
      longestWithoutWriteMs: counts.longestWithoutWriteMs,
      interrupted: options.signal.aborted,
      verdict: this.verdict,
      problems: problems.all,
      folder: this.isClean ? undefined : folder,
    };
  }
}
