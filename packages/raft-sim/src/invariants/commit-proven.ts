import { type Index, type MemberId, type Message, MessageType } from '@swarm/raft';
import { Role } from '@swarm/raft/internals';
import { Violation } from '@swarm/sim';
import { isQuorum } from './quorum.js';
import type { Invariant, Subject } from './subject.js';

interface Proof {
  /**
   * This run of the member has received proof that this much is committed, and is the same here.
   */
  proven: Index;
  led: boolean;
}

/**
 * Paper, figure 2, on both sides. Followers: an Append proves what is committed only up to its own
 * last entry, because what follows in the member's log may differ. Leaders: what a majority
 * matches, and is of the leader's own term, is committed at once; nobody might ask again.
 */
export class CommitProven implements Invariant {
  readonly #proofs = new Map<MemberId, Proof>();

  /** What any message says is an upper bound, because the message may be lost, late or refused. */
  arrived({ id }: Subject, message: Message): void {
    const proof = this.#proofs.get(id);
    if (proof !== undefined) proof.proven = Math.max(proof.proven, provenBy(message));
  }

  check(subject: Subject): void {
    const { id, raft } = subject;
    const { commit } = raft.log;
    const leads = raft.role === Role.Leader;
    if (leads) this.#checkMajority(subject);
    const proof = this.#proofs.get(id);
    if (proof === undefined) {
      this.#proofs.set(id, { proven: commit, led: leads });
      return;
    }
    if (leads || proof.led) proof.proven = Math.max(proof.proven, commit);
    proof.led = leads;
    // It may have led in the middle of a step, and treated what its state has as committed.
    if (commit <= Math.max(proof.proven, raft.stateIndex)) return;
    throw new Violation(
      'commit is proven',
      `${id} treats ${commit} as committed, but had proof of no more than ${proof.proven}`,
    );
  }

  #checkMajority({ id, raft }: Subject): void {
    const { log, tracker, term } = raft;
    const { conf } = tracker;
    for (const member of tracker.members) {
      const index = tracker.get(member)?.match ?? 0;
      if (index <= log.commit || log.term(index) !== term) continue;
      if (!isQuorum(conf, (other) => (tracker.get(other)?.match ?? 0) >= index)) continue;
      throw new Violation(
        'commit is prompt',
        `a majority has ${index}, which ${id} leads in term ${term} and does not commit`,
      );
    }
  }

  ended(id: MemberId): void {
    this.#proofs.delete(id);
  }
}

function provenBy(message: Message): Index {
  switch (message.type) {
    case MessageType.Append:
      return Math.min(message.commit, message.previousIndex + message.entries.length);
    case MessageType.Heartbeat:
      return message.commit;
    case MessageType.Snapshot:
      return message.snapshot?.index ?? 0;
    case MessageType.PreVoteResponse:
    case MessageType.VoteResponse:
      return message.granted ? 0 : message.commit;
    default:
      return 0;
  }
}
