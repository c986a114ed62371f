import { ProgressState, Role } from '@swarm/raft/internals';
import { Violation } from '@swarm/sim';
import type { Invariant, Subject } from './subject.js';

/**
 * The contract of RaftCore.reportSnapshot: whoever waits for a snapshot is being sent one. A member
 * whose snapshot failed without a word gets nothing any more, for as long as the leader leads.
 */
export class SnapshotTold implements Invariant {
  check({ id, raft, sendsSnapshot }: Subject): void {
    if (raft.role !== Role.Leader) return;
    for (const member of raft.tracker.members) {
      if (raft.tracker.get(member)?.state !== ProgressState.Snapshot || sendsSnapshot(member)) {
        continue;
      }
      throw new Violation(
        'snapshot is told',
        `${id} sends ${member} no snapshot, which waits for it`,
      );
    }
  }
}
