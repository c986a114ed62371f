import type { Clock, Timer } from '@swarm/api';
import type { DispatcherSession } from './session.js';

interface Contest {
  readonly newcomer: DispatcherSession;
  /** The session that has the node; undefined while it is only expected back. */
  readonly rival: DispatcherSession | undefined;
  /** When the rival counts as gone, monotonic. */
  readonly deadlineMs: number;
  readonly timer: Timer;
  readonly decide: (isRivalAlive: boolean) => void;
}

/**
 * Decides between two daemons that say hello with one node's certificate. Either the first one is gone without
 * a goodbye and this is the node's next run, or its data folder was copied and both live. The newcomer waits
 * until the first one gives a sign of life, closes, or has kept silent for a while.
 *
 * Each node has at most one newcomer that waits.
 */
export class Contests {
  readonly #clock: Clock;
  readonly #byNode = new Map<string, Contest>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether the session still waits for a decision. */
  isWaiting(session: DispatcherSession): boolean {
    return this.#byNode.get(session.nodeId)?.newcomer === session;
  }

  /**
   * Lets a newcomer wait. One that takes the place of another waits only for the rest of its time: the rival's
   * time to answer runs from the first, or several newcomers by turns would keep a dead node for ever.
   * @param rival asked for a sign of life; undefined when it has no session at the moment
   * @param decide called once, unless the newcomer leaves first
   */
  begin(
    newcomer: DispatcherSession,
    rival: DispatcherSession | undefined,
    limitMs: number,
    decide: Contest['decide'],
  ): void {
    const { nodeId } = newcomer;
    const nowMs = this.#clock.monotonicMs();
    const before = this.#take(nodeId);
    const isSame = before !== undefined && before.rival === rival;
    const deadlineMs = isSame ? before.deadlineMs : nowMs + limitMs;
    const timer = this.#clock.setTimeout(() => this.#decide(nodeId, false), deadlineMs - nowMs);
    this.#byNode.set(nodeId, { newcomer, rival, deadlineMs, timer, decide });
    before?.newcomer.end('replaced by a newer session of the node');
    rival?.ping();
  }

  /** The session that had the node answered. */
  answered(rival: DispatcherSession): void {
    if (this.#byNode.get(rival.nodeId)?.rival === rival) this.#decide(rival.nodeId, true);
  }

  /** The daemon that was expected back came. */
  returned(nodeId: string): void {
    this.#decide(nodeId, true);
  }

  /** A connection closed. */
  closed(session: DispatcherSession): void {
    const contest = this.#byNode.get(session.nodeId);
    if (contest?.newcomer === session) this.#take(session.nodeId);
    else if (contest?.rival === session) this.#decide(session.nodeId, false);
  }

  stop(): void {
    for (const nodeId of [...this.#byNode.keys()]) this.#take(nodeId);
  }

  #decide(nodeId: string, isRivalAlive: boolean): void {
    this.#take(nodeId)?.decide(isRivalAlive);
  }

  #take(nodeId: string): Contest | undefined {
    const contest = this.#byNode.get(nodeId);
    if (contest === undefined) return undefined;
    this.#clock.clearTimeout(contest.timer);
    this.#byNode.delete(nodeId);
    return contest;
  }
}
