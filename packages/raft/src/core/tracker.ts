import { allMembers, EMPTY_CONF, isVoter } from './conf-change.js';
import { Inflights } from './inflights.js';
import { Progress } from './progress.js';
import { quorumReached, quorumVote, VoteResult } from './quorum.js';
import type { ConfState, Index, MemberId } from './types.js';

/** The configuration, the progress of each member in it, and the votes of the current campaign. */
export class Tracker {
  conf: ConfState = EMPTY_CONF;
  /** Ascending by id. */
  members: readonly MemberId[] = [];
  private progress = new Map<MemberId, Progress>();
  private votes = new Map<MemberId, boolean>();
  private readonly maxInflightMessages: number;
  private readonly maxInflightBytes: number;

  constructor(maxInflightMessages: number, maxInflightBytes: number) {
    this.maxInflightMessages = maxInflightMessages;
    this.maxInflightBytes = maxInflightBytes;
  }

  get(id: MemberId): Progress | undefined {
    return this.progress.get(id);
  }

  /**
   * Takes over a configuration. Members that stay keep their progress; new ones are probed from
   * `next`.
   */
  setConf(conf: ConfState, next: Index, tick: number): void {
    this.conf = conf;
    this.members = allMembers(conf);
    const progress = new Map<MemberId, Progress>();
    for (const id of this.members) {
      const isLearner = !isVoter(conf, id);
      let known = this.progress.get(id);
      if (known === undefined) {
        known = this.fresh(next, isLearner);
        // Otherwise the next quorum check would count it as lost before it could answer.
        known.lastActiveTick = tick;
      }
      known.isLearner = isLearner;
      progress.set(id, known);
    }
    this.progress = progress;
  }

  /** Resets the progress of all members: a new leader knows nothing of them. */
  reset(next: Index): void {
    this.votes = new Map();
    for (const [id, { isLearner }] of this.progress) {
      this.progress.set(id, this.fresh(next, isLearner));
    }
  }

  private fresh(next: Index, isLearner: boolean): Progress {
    const inflights = new Inflights(this.maxInflightMessages, this.maxInflightBytes);
    return new Progress(Math.max(next, 1), isLearner, inflights);
  }

  /** Returns the highest index that a quorum holds. */
  committed(): Index {
    return quorumReached(this.conf, (id) => this.progress.get(id)?.match ?? 0);
  }

  /** Reports whether a quorum was heard at `since` or later, counting the member `self`. */
  quorumActive(self: MemberId, since: number): boolean {
    const heard = (id: MemberId) =>
      id === self || (this.progress.get(id)?.lastActiveTick ?? Number.MIN_SAFE_INTEGER) >= since;
    return quorumVote(this.conf, heard) === VoteResult.Won;
  }

  resetVotes(): void {
    this.votes = new Map();
  }

  /** Reports whether the member granted its vote in the current campaign. */
  hasGranted(id: MemberId): boolean {
    return this.votes.get(id) === true;
  }

  /** Records a member's vote. Its first answer counts. */
  recordVote(id: MemberId, granted: boolean): VoteResult {
    if (!this.votes.has(id)) this.votes.set(id, granted);
    return quorumVote(this.conf, (voter) => this.votes.get(voter));
  }
}
