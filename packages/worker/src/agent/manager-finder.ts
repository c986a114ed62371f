import { backoffMs, type ManagerAddress } from '@swarm/api';
import { MANAGERS_LIMIT, RECONNECT_MS, REDIRECTS_LIMIT, UNREACHED_RECONNECT_MS } from './limits.js';

/** Decides which manager to try next, and after which pause. Pure except for `random`. */
export class ManagerFinder {
  readonly #random: () => number;
  #managers: readonly ManagerAddress[];
  #leader: ManagerAddress | undefined;
  #round: ManagerAddress[] = [];
  #failures = 0;
  #redirects = 0;
  /** The address that failed last: tried after all others, since what was wrong with it may still be. */
  #failedLast: string | undefined;
  #isUnreached = false;

  /** @param random 0 ≤ x < 1 */
  constructor(managers: readonly ManagerAddress[], random: () => number) {
    this.#managers = managers.slice(0, MANAGERS_LIMIT);
    this.#random = random;
  }

  get managers(): readonly ManagerAddress[] {
    return this.#managers;
  }

  /** Adopts the list that a manager sent. Returns whether it differs. Ignores an empty list. */
  learn(managers: readonly ManagerAddress[]): boolean {
    const next = managers.slice(0, MANAGERS_LIMIT);
    const key = (list: readonly ManagerAddress[]): string =>
      list
        .map(({ nodeId, address }) => `${nodeId} ${address}`)
        .sort()
        .join(',');
    if (next.length === 0 || key(next) === key(this.#managers)) return false;
    this.#managers = next;
    this.#round = [];
    return true;
  }

  /** A manager named the leader: tries that next, at first without a pause. */
  redirected(leader: ManagerAddress | undefined): void {
    this.#leader = leader;
    this.#redirects += 1;
    if (leader === undefined || this.#redirects > REDIRECTS_LIMIT) this.#failures += 1;
  }

  /** A session is established. */
  succeeded(manager: ManagerAddress): void {
    this.#failures = 0;
    this.#redirects = 0;
    this.#failedLast = undefined;
    this.#leader = manager;
    this.#round = [];
  }

  /**
   * The attempt failed, or the session ended. A leader that fell silent is not the one to try first: if its host is
   * gone, each attempt costs the time that a new leader waits for this node.
   * @param isUnreached no packet got to the manager, or back
   */
  failed(manager?: ManagerAddress, isUnreached = false): void {
    this.#failures += 1;
    this.#failedLast = manager?.address;
    this.#isUnreached = isUnreached;
    if (this.#leader?.address === manager?.address) this.#leader = undefined;
  }

  /**
   * The network changed: tries all managers again, without a pause.
   * @param first the one to begin with; those known longer may all be gone, and cost seconds each
   */
  hurry(first?: ManagerAddress): void {
    this.#failures = 0;
    this.#redirects = 0;
    this.#failedLast = undefined;
    this.#round = [];
    this.#leader = first ?? this.#leader;
  }

  /** The manager to try: the leader first, then the others in random order; undefined if none is known. */
  next(): ManagerAddress | undefined {
    const leader = this.#leader;
    this.#leader = undefined;
    if (leader !== undefined) {
      this.#round = this.#round.filter(({ address }) => address !== leader.address);
      return leader;
    }
    if (this.#round.length === 0) {
      const isLast = ({ address }: ManagerAddress): number => Number(address === this.#failedLast);
      this.#round = shuffle(this.#managers, this.#random).sort((a, b) => isLast(a) - isLast(b));
    }
    return this.#round.shift();
  }

  /** Pause before the next attempt; 0 after a redirect to a leader. */
  delayMs(): number {
    const limits = this.#isUnreached ? UNREACHED_RECONNECT_MS : RECONNECT_MS;
    return backoffMs(this.#failures, limits, this.#random);
  }
}

function shuffle<T>(items: readonly T[], random: () => number): T[] {
  const list = [...items];
  for (let last = list.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    [list[last], list[other]] = [list[other]!, list[last]!];
  }
  return list;
}
