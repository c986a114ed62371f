import type { Clock, Logger, ManagerAddress } from '@swarm/api';
import type { CertifiedManager } from '@swarm/identity';

/** Former managers remembered, the latest. */
export const FORMER_MANAGERS_LIMIT = 64;

/** A node that was a manager, and when this node learned that it no longer is. */
export interface FormerManager {
  readonly nodeId: string;
  /** Milliseconds since the epoch. */
  readonly sinceMs: number;
}

export interface ManagerPinsOptions {
  readonly clock: Pick<Clock, 'now'>;
  readonly logger: Logger;
  /**
   * From when on a certificate proves a manager that this node could not know: it was issued since the node
   * last heard from the cluster. Milliseconds since the epoch.
   */
  readonly heirsFromMs: () => number;
  /** Whether no known manager has answered for a while. */
  readonly isLost: () => boolean;
  /** Both from an earlier run; the managers may be out of date. */
  readonly managers: readonly ManagerAddress[];
  readonly former: readonly FormerManager[];
}

/**
 * Which manager a node accepts at an address where it knows another: a backup was restored there, a manager
 * left and joined again, or hosts exchanged their addresses. The cluster's root vouches for every certificate
 * that gets here. So what the node remembers may only keep out managers that it knows were demoted or
 * removed, whose certificates are valid until they expire, and, while a known manager may still answer, any
 * that it should have heard of and did not.
 */
export class ManagerPins {
  readonly #options: ManagerPinsOptions;
  #managers: ReadonlySet<string>;
  /** By node id, the oldest first. */
  readonly #former: Map<string, number>;
  /** Pairs of address and node already logged. */
  readonly #said = new Map<string, string>();

  constructor(options: ManagerPinsOptions) {
    this.#options = options;
    this.#former = new Map(options.former.map(({ nodeId, sinceMs }) => [nodeId, sinceMs]));
    const isManager = (nodeId: string) => nodeId !== '' && !this.#former.has(nodeId);
    this.#managers = new Set(options.managers.map(({ nodeId }) => nodeId).filter(isManager));
  }

  get former(): readonly FormerManager[] {
    return [...this.#former].map(([nodeId, sinceMs]) => ({ nodeId, sinceMs }));
  }

  /** Takes the managers as the leader listed them. Returns whether other managers are former ones now. */
  learn(managers: readonly ManagerAddress[]): boolean {
    if (managers.length === 0) return false;
    const before = [...this.#former.keys()].join();
    const listed = new Set(managers.map(({ nodeId }) => nodeId));
    for (const nodeId of this.#managers) {
      if (!listed.has(nodeId)) this.#former.set(nodeId, this.#options.clock.now());
    }
    for (const nodeId of listed) this.#former.delete(nodeId);
    for (const oldest of this.#former.keys()) {
      if (this.#former.size <= FORMER_MANAGERS_LIMIT) break;
      this.#former.delete(oldest);
    }
    this.#managers = listed;
    return [...this.#former.keys()].join() !== before;
  }

  /**
   * Judges the manager that answers where another is expected. Logs one that it accepts.
   * @returns why it is not accepted, see `JudgeManager`
   */
  judge(
    { nodeId: expected, address }: ManagerAddress,
    { nodeId, issuedAtMs }: CertifiedManager,
  ): string | undefined {
    const formerSinceMs = this.#former.get(nodeId);
    if (formerSinceMs !== undefined && issuedAtMs <= formerSinceMs)
      return `node ${nodeId}, which is not a manager any more`;
    if (expected === '' || expected === nodeId) return undefined;
    const isKnown = this.#managers.has(nodeId);
    const { heirsFromMs, isLost } = this.#options;
    if (!isKnown && issuedAtMs < heirsFromMs() && !isLost())
      return `node ${nodeId}, not ${expected}`;
    this.#say(address, expected, nodeId);
    return undefined;
  }

  #say(address: string, expected: string, nodeId: string): void {
    if (this.#said.get(address) === nodeId) return;
    if (this.#said.size >= FORMER_MANAGERS_LIMIT) this.#said.clear();
    this.#said.set(address, nodeId);
    this.#options.logger.warn(
      { address, expected, nodeId },
      'another manager of this cluster answers at a known address; this node accepts it',
    );
  }
}
