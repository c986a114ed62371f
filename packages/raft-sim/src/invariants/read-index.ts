import type { Index, MemberId } from '@swarm/raft';
import { Violation } from '@swarm/sim';

/**
 * Thesis §6.4: a read sees everything committed, by any leader, when it was asked for. Stronger
 * than what clients can see, for whom a write counts only once it is acknowledged.
 * @throws Violation
 */
export function checkReadIndex(id: MemberId, committed: Index, served: Index): void {
  if (served >= committed) return;
  throw new Violation(
    'read index',
    `${id} serves a read at ${served}, which was asked for when ${committed} was committed`,
  );
}
