import { ProgressState, Role } from '@swarm/raft/internals';
import { Violation } from '@swarm/sim';
import type { Invariant, Subject } from './subject.js';

/**
 * The contract of RaftCore.reportSnapshot: a member that waits for a snapshot is being sent one. A
 * member whose snapshot failed without a report gets nothing more for as long as the leader leads.
 */
export class SnapshotReported implements Invariant {
  check({ id, raft, sendsSnapshot }: Subject): void {
    if (raft.role !== Role.Leader) return;
    for (const member of raft.tracker.members) {
      if (raft.tracker.get(member)?.state !== ProgressState.Snapshot || sendsSnapshot(member)) {
        continue;
      }
      throw new Violation(
        'snapshot is reported',
        `${id} sends ${member} no snapshot, though ${member} waits for it`,
      );
    }
  }
}
