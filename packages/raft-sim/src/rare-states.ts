import type { ConfState, Index, Term } from '@swarm/raft';
import { isJoint, type Raft, Role } from '@swarm/raft/internals';
import type { RaftWorld } from './world.js';

/** Compares a member with its state a step earlier, and marks the rare states it reached. */
export class RareStates {
  #role: Role = Role.Follower;
  #term: Term = 0;
  #last: Index = 0;
  #first: Index = 1;
  #commit: Index = 0;
  #conf: ConfState | undefined;
  #campaigns = 0;
  #jointTerm: Term = 0;
  #leaseReads = 0;
  #quorumReads = 0;
  /** The last term in which a lease was good for a read. */
  #leaseTerm: Term = 0;

  /** Starts over for a new process. */
  reset(): void {
    this.#role = Role.Follower;
    this.#last = 0;
    this.#first = 1;
    this.#conf = undefined;
    this.#leaseReads = 0;
    this.#quorumReads = 0;
  }

  look(raft: Raft, { coverage, subjects }: RaftWorld): void {
    const { log, role, term } = raft;
    if (role !== this.#role || term !== this.#term) {
      if (role === Role.Candidate) this.#campaigns++;
      if (role === Role.Leader && this.#role !== Role.Leader) {
        coverage.mark('election');
        if (this.#campaigns > 1) coverage.mark('election after a split vote');
        for (const other of subjects.values()) {
          if (other.raft !== raft && other.raft.role === Role.Leader) {
            coverage.mark('two leaders at once');
          }
        }
      }
      if (this.#role === Role.Leader && role !== Role.Leader) coverage.mark('leader steps down');
      if (role === Role.Leader || role === Role.Follower) this.#campaigns = 0;
    }
    if (log.lastIndex < this.#last && log.firstIndex === this.#first) {
      coverage.mark('tail overwritten');
    }
    if (log.firstIndex > this.#first && this.#last > 0) {
      coverage.mark(log.firstIndex > this.#last + 1 ? 'snapshot over a tail' : 'log compacted');
    }
    if (log.commit > this.#commit && role === Role.Leader && this.#commit < raft.leadershipIndex) {
      if (raft.leadershipIndex > this.#commit + 1) {
        coverage.mark('earlier term committed with a later one');
      }
    }
    if (role === Role.Leader) {
      for (const id of raft.tracker.members) {
        if (raft.tracker.get(id)?.inflights.full) coverage.mark('window full');
      }
    }
    this.#lookAtReads(raft, coverage);
    this.#lookAtConf(raft, coverage);
    this.#role = role;
    this.#term = term;
    this.#last = log.lastIndex;
    this.#first = log.firstIndex;
    this.#commit = log.commit;
  }

  #lookAtReads({ leaseReads, quorumReads, term }: Raft, coverage: RaftWorld['coverage']): void {
    if (quorumReads > this.#quorumReads && this.#leaseTerm === term) coverage.mark('lease run out');
    if (leaseReads > this.#leaseReads) {
      coverage.mark('read served by lease');
      this.#leaseTerm = term;
    }
    this.#leaseReads = leaseReads;
    this.#quorumReads = quorumReads;
  }

  #lookAtConf(raft: Raft, coverage: RaftWorld['coverage']): void {
    const { conf } = raft.tracker;
    if (conf === this.#conf) return;
    if (isJoint(conf)) {
      coverage.mark('joint configuration');
      this.#jointTerm = raft.term;
    } else if (this.#conf !== undefined && isJoint(this.#conf) && raft.term > this.#jointTerm) {
      coverage.mark('joint configuration left by a later leader');
    }
    this.#conf = conf;
  }
}
