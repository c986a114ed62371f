import {
  ApiError,
  type BackoffLimits,
  backoffMs,
  type Clock,
  type ManagerAddress,
  type Timer,
} from '@swarm/api';
import { isValidityError } from '@swarm/identity';
import type { ManagerCalls } from './join-raft.js';
import type { LeaderAddress } from './leader-link.js';
import { probeManager } from './probe.js';

/** How often a manager without a leader looks for one outside of Raft, once it has had none for as long. */
const LOOK_MS: BackoffLimits = { minMs: 5_000, maxMs: 60_000 };
/** Longest wait for a manager's answer. All are asked at once. */
const PROBE_TIMEOUT_MS = 2_000;
/** Managers that are asked at once. */
const PROBES_LIMIT = 64;

export interface OutsideWatchOptions {
  readonly clock: Clock;
  readonly calls: ManagerCalls;
  readonly nodeId: string;
  /** How long this member has had no leader, milliseconds. */
  readonly leaderlessMs: () => number;
  /** Every manager that this node knows of, from Raft or elsewhere. */
  readonly managers: () => readonly ManagerAddress[];
  /**
   * This member has no leader, but other managers answer that have one, or that refuse this node. It may have
   * been removed from the group and not know it: nobody in the group talks to it any more.
   */
  readonly found: () => void;
}

/**
 * Notices that the group goes on without this member. A member that was removed while it was down, or cut off,
 * never gets the entry that says so: from within Raft that looks like a lost quorum.
 */
export class OutsideWatch {
  readonly #options: OutsideWatchOptions;
  #timer: Timer;
  #looks = 0;
  #leader: LeaderAddress | undefined;
  #timeProblem: string | undefined;
  #isClosed = false;

  constructor(options: OutsideWatchOptions) {
    this.#options = options;
    this.#sleep();
  }

  /** The leader of the others, when this member has none and one answered lately. */
  leader(): LeaderAddress | undefined {
    return this.#isLeaderless() ? this.#leader : undefined;
  }

  /**
   * Why a manager that lives cannot be asked whether it leads, when it is for the time in a certificate: most
   * likely one of the two clocks is wrong, and the others may well have a quorum. As of the last look.
   */
  timeProblem(): string | undefined {
    return this.#timeProblem;
  }

  /** Asks the others now. Resolves with their leader; undefined when none says that it leads. */
  async look(): Promise<LeaderAddress | undefined> {
    const { leader } = await this.#ask();
    this.#leader = leader;
    return leader;
  }

  close(): void {
    this.#isClosed = true;
    this.#options.clock.clearTimeout(this.#timer);
  }

  #isLeaderless(): boolean {
    return this.#options.leaderlessMs() >= LOOK_MS.minMs;
  }

  #sleep(): void {
    if (this.#isClosed) return;
    const pauseMs = backoffMs(Math.max(1, this.#looks), LOOK_MS);
    this.#timer = this.#options.clock.setTimeout(() => void this.#wake(), pauseMs);
  }

  async #wake(): Promise<void> {
    if (this.#isLeaderless()) {
      this.#looks += 1;
      const { leader, isRefused } = await this.#ask();
      this.#leader = leader;
      if (!this.#isClosed && this.#isLeaderless() && (leader !== undefined || isRefused))
        this.#options.found();
    } else {
      this.#looks = 0;
      this.#leader = undefined;
      this.#timeProblem = undefined;
    }
    this.#sleep();
  }

  async #ask(): Promise<{ leader: LeaderAddress | undefined; isRefused: boolean }> {
    const { managers, nodeId } = this.#options;
    const others = managers().filter((each) => each.nodeId !== nodeId);
    const answers = await Promise.all(
      others.slice(0, PROBES_LIMIT).map((each) => this.#probe(each)),
    );
    const found = answers.filter((answer) => typeof answer === 'object');
    this.#timeProblem = found.find((answer) => 'timeProblem' in answer)?.timeProblem;
    return {
      leader: found.find((answer) => 'address' in answer),
      isRefused: answers.includes('refused'),
    };
  }

  async #probe({
    nodeId,
    address,
  }: ManagerAddress): Promise<LeaderAddress | { timeProblem: string } | 'refused' | undefined> {
    try {
      const { calls } = this.#options;
      const expected = nodeId === '' ? undefined : nodeId;
      const said = await probeManager(calls, address, PROBE_TIMEOUT_MS, expected);
      return said.leads && said.nodeId !== undefined ? { nodeId: said.nodeId, address } : undefined;
    } catch (error) {
      if (!(error instanceof ApiError)) return undefined;
      if (isValidityError(error.cause)) return { timeProblem: error.message };
      if (error.code === 'CERTIFICATE_EXPIRED')
        return { timeProblem: `The manager at ${address} says: ${error.message}` };
      return error.code === 'PERMISSION_DENIED' ? 'refused' : undefined;
    }
  }
}
