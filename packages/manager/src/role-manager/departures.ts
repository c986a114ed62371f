import { type BackoffLimits, backoffMs, type Clock, type Logger } from '@swarm/api';
import { canDemote, type Member } from './can-demote.js';
import type { Membership } from './membership.js';
import type { RoleNotes } from './role-notes.js';

/** Pauses between tries to remove one member. */
const RETRY_MS: BackoffLimits = { minMs: 5_000, maxMs: 30_000 };

export interface DeparturesOptions {
  readonly membership: Membership;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly notes: RoleNotes;
  /** Called when a try is over. */
  readonly ended: () => void;
}

interface Departure {
  failures: number;
  notBeforeMs: number;
  /** Whether a try is under way. */
  running: boolean;
}

/**
 * Takes members out of the Raft group. Each is tried by itself and again after a pause of its own: one whose
 * removal hangs or fails delays neither the others nor the pass of the role manager.
 */
export class Departures {
  readonly #options: DeparturesOptions;
  /** By Raft id. */
  readonly #departures = new Map<number, Departure>();
  #isStopped = false;

  constructor(options: DeparturesOptions) {
    this.#options = options;
  }

  /** Goes on with these members, and forgets all others. */
  follow(leaving: readonly Member[]): void {
    if (this.#isStopped) return;
    const ids = new Set(leaving.map(({ raftId }) => raftId));
    for (const [raftId, { running }] of this.#departures)
      if (!running && !ids.has(raftId)) this.#departures.delete(raftId);
    for (const member of leaving) this.#go(member);
  }

  /** Begins no other try, and ignores how those under way end: they write nothing to the store. */
  stop(): void {
    this.#isStopped = true;
  }

  #go(member: Member): void {
    const { membership, clock, logger, notes, ended } = this.#options;
    const { nodeId, raftId } = member;
    let departure = this.#departures.get(raftId);
    if (departure === undefined) {
      departure = { failures: 0, notBeforeMs: 0, running: false };
      this.#departures.set(raftId, departure);
    }
    const each = departure;
    if (each.running || clock.monotonicMs() < each.notBeforeMs) return;
    const reason = canDemote(membership.members(), nodeId);
    if (reason !== undefined) {
      const isNews = notes.note(nodeId, reason);
      if (isNews) logger.warn({ nodeId, reason }, CANNOT_LEAVE);
      return;
    }
    const later = () => {
      each.notBeforeMs = clock.monotonicMs() + backoffMs(each.failures, RETRY_MS);
      each.running = false;
      ended();
    };
    each.running = true;
    this.#leave(member).then(
      () => {
        if (this.#isStopped) return;
        // A leader that handed over may still look like one for a moment.
        each.failures = 1;
        notes.forget(nodeId);
        later();
      },
      (error: unknown) => {
        if (this.#isStopped) return;
        each.failures += 1;
        const why = (error as Error).message;
        if (notes.note(nodeId, why)) logger.warn({ nodeId, reason: why }, CANNOT_LEAVE);
        later();
      },
    );
  }

  async #leave({ nodeId, raftId }: Member): Promise<void> {
    const { membership, logger } = this.#options;
    if (membership.isSelf(raftId)) {
      logger.info(
        { nodeId },
        'this leader was demoted or removed, handing leadership to another manager',
      );
      return membership.transferAway();
    }
    await membership.remove(raftId);
    logger.info({ nodeId, raftId }, 'manager left the Raft group');
  }
}

const CANNOT_LEAVE = 'a demoted or removed manager cannot leave the Raft group yet';
