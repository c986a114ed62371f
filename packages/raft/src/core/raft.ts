import { assert } from './assert.js';
import { changeConf, type ConfChange, isVoter } from './conf-change.js';
import { type RaftConfig, ReadMode, validate } from './config.js';
import { Lease } from './lease.js';
import { Log } from './log.js';
import { type AppendResponseMessage, type Message, MessageType } from './message.js';
import { ReadOnly, type ReadRequest } from './read-only.js';
import { Tracker } from './tracker.js';
import {
  type ConfState,
  type Entry,
  EntryKind,
  type HardState,
  type Index,
  type MemberId,
  NOBODY,
  type Term,
} from './types.js';

export const Role = {
  Follower: 'follower',
  PreCandidate: 'pre-candidate',
  Candidate: 'candidate',
  Leader: 'leader',
} as const;
export type Role = (typeof Role)[keyof typeof Role];

/** What a member starts with: what its storage recovered, and how much of that is applied. */
export interface InitialState {
  readonly hardState: HardState;
  /** The point the log starts after. */
  readonly base: { readonly index: Index; readonly term: Term };
  readonly entries: readonly Entry[];
  /** Entries up to here are already applied, and `conf` includes their membership changes. */
  readonly applied: Index;
  /** The state machine's own index, which may be ahead of what the log knows to be committed. */
  readonly stateIndex: Index;
  readonly conf: ConfState;
  /**
   * Whether an earlier run may have heard a leader; a first start has no earlier run. Absent:
   * false.
   */
  readonly mayHavePromised?: boolean;
}

/** A read that may be served once `index` is applied. */
export interface ReadState {
  readonly context: number;
  readonly index: Index;
}

const NO_DATA = new Uint8Array(0);

/**
 * The state of one member, and the transitions between roles. step.ts and the files per role say
 * what a message does to it; this file keeps what must hold in each role.
 *
 * Pure: no clock, no randomness but `config.random`, nothing asynchronous. Paper: Ongaro and
 * Ousterhout, "In Search of an Understandable Consensus Algorithm"; thesis: Ongaro 2014.
 */
export class Raft {
  readonly config: RaftConfig;
  readonly id: MemberId;
  readonly log: Log;
  readonly tracker: Tracker;

  role: Role = Role.Follower;
  /** Never falls. With `vote`, it is durable before any answer that depends on it leaves. */
  term: Term;
  vote: MemberId;
  /** The leader of `term` as far as this member knows. */
  leader: MemberId = NOBODY;

  /** Messages that may leave at once. */
  messages: Message[] = [];
  /**
   * Messages that promise something. They leave (or come home) when everything before them is
   * durable.
   */
  promises: Message[] = [];
  readStates: ReadState[] = [];

  /** Ticks since the start; only differences mean anything. */
  ticks = 0;
  /**
   * Follower and candidates: ticks since a leader was heard or an election began. Leader: ticks
   * since the last quorum check.
   */
  electionElapsed = 0;
  heartbeatElapsed = 0;
  /** The tick at which any leader was last heard; see promise.ts. */
  heardTick = Number.NEGATIVE_INFINITY;
  /** In [E, 2E-1]; drawn again on every change of role. */
  electionTimeout = 0;

  // Leader only; reset on every change of role.
  readOnly = new ReadOnly();
  /** Absent in readMode quorum. */
  lease: Lease | undefined;
  /** Reads that arrived before an entry of this term was committed. */
  earlyReads: ReadRequest[] = [];
  /** Followers may lack entries or the commit. Settled once per ready. */
  broadcastDue = false;
  /** No membership change may be proposed until this index is applied. */
  pendingConfIndex: Index = 0;
  /** Index of the empty entry that began this leadership. */
  leadershipIndex: Index = 0;
  transferee: MemberId = NOBODY;
  uncommittedBytes = 0;

  /**
   * Reads that this member answered under a lease while leading, and reads for which it asked a
   * quorum. Both count since the start.
   */
  leaseReads = 0;
  quorumReads = 0;

  /**
   * The state machine has this index, so it is committed. Only once we lead do we know that our
   * entries up to it are the committed ones: a leader's log holds everything committed.
   */
  stateIndex: Index;
  /** The host is installing a snapshot: the state is between two logs. */
  restoring = false;
  /** A leader handed over to us while a membership change was not yet applied. */
  campaignWhenApplied = false;

  constructor(config: RaftConfig, initial: InitialState) {
    validate(config);
    this.config = config;
    this.id = config.id;
    const { hardState, base, entries, applied } = initial;
    this.term = Math.max(hardState.term, base.term);
    this.vote = hardState.term === this.term ? hardState.vote : NOBODY;
    this.log = new Log(base, entries, Math.max(hardState.commit, base.index));
    assert(
      this.log.lastTerm <= this.term,
      'the log is ahead of the durable term',
      this.log.lastTerm,
    );
    this.log.resumeAt(Math.max(applied, base.index));
    this.stateIndex = initial.stateIndex;
    if (initial.mayHavePromised === true) this.heardTick = this.ticks;
    this.tracker = new Tracker(config.maxInflightMessages, config.maxInflightBytes);
    this.tracker.setConf(initial.conf, this.log.lastIndex + 1, this.ticks);
    this.becomeFollower(this.term, NOBODY);
  }

  get hardState(): HardState {
    return { term: this.term, vote: this.vote, commit: this.log.commit };
  }

  // --- Roles

  private reset(term: Term): void {
    assert(term >= this.term, 'the term falls', term, this.term);
    if (term !== this.term) {
      this.term = term;
      this.vote = NOBODY;
    }
    this.leader = NOBODY;
    this.electionElapsed = 0;
    this.heartbeatElapsed = 0;
    this.drawElectionTimeout();
    this.tracker.resetVotes();
    this.readOnly = new ReadOnly();
    this.lease = undefined;
    this.earlyReads = [];
    this.broadcastDue = false;
    this.pendingConfIndex = 0;
    this.leadershipIndex = 0;
    this.transferee = NOBODY;
    this.uncommittedBytes = 0;
    this.campaignWhenApplied = false;
  }

  private drawElectionTimeout(): void {
    const { electionTicks, random } = this.config;
    this.electionTimeout = electionTicks + Math.floor(random() * electionTicks);
  }

  becomeFollower(term: Term, leader: MemberId): void {
    this.reset(term);
    this.role = Role.Follower;
    this.leader = leader;
  }

  /** Asks whether an election could be won. Changes neither term nor vote (thesis §9.6). */
  becomePreCandidate(): void {
    assert(this.role !== Role.Leader, 'a leader campaigns');
    this.role = Role.PreCandidate;
    this.tracker.resetVotes();
    this.leader = NOBODY;
    this.electionElapsed = 0;
    this.drawElectionTimeout();
  }

  becomeCandidate(): void {
    assert(this.role !== Role.Leader, 'a leader campaigns');
    this.reset(this.term + 1);
    this.role = Role.Candidate;
    this.vote = this.id;
  }

  becomeLeader(): void {
    assert(this.role === Role.Candidate, 'only a candidate can win');
    assert(Number.isSafeInteger(this.log.lastIndex + 1), 'the log is full');
    this.reset(this.term);
    this.role = Role.Leader;
    this.leader = this.id;
    // Otherwise a member that needs a snapshot before we can commit could not get one of this
    // state.
    assert(
      this.stateIndex <= this.log.lastIndex,
      'a leader lacks committed entries',
      this.stateIndex,
    );
    this.log.commitTo(this.stateIndex);
    // The entries not applied yet may include a membership change. Until they are applied, no other
    // one may be proposed: two at once could form two disjoint majorities.
    this.pendingConfIndex = this.log.lastIndex;
    this.tracker.reset(this.log.lastIndex + 1);
    const { readMode, maxClockDriftPpm, promiseMs, electionTicks } = this.config;
    // At most one round begins per tick, and an answer that takes an election timeout is worthless.
    if (readMode === ReadMode.Lease)
      this.lease = new Lease(maxClockDriftPpm, promiseMs, electionTicks);
    const self = this.tracker.get(this.id);
    if (self !== undefined) {
      self.match = this.log.unstable.stable;
      self.becomeReplicate();
      self.lastActiveTick = this.ticks;
    }
    // Entries of earlier terms are committed only together with one of this term (paper §5.4.2).
    this.leadershipIndex = this.appendOwn([NO_DATA], EntryKind.Normal);
  }

  /** Steps down, so that a leader that cannot do its work makes room for another. */
  stepDown(): void {
    if (this.role === Role.Leader) this.becomeFollower(this.term, NOBODY);
  }

  // --- Log

  /** Appends to the leader's own log. @returns the index of the first entry */
  appendOwn(datas: readonly Uint8Array[], kind: EntryKind): Index {
    assert(this.role === Role.Leader, 'only a leader appends its own entries');
    const first = this.log.lastIndex + 1;
    const entries = datas.map(
      (data, i): Entry => ({ index: first + i, term: this.term, kind, data }),
    );
    for (const { data } of entries) this.uncommittedBytes += data.length;
    this.log.append(entries);
    this.broadcastDue = true;
    return first;
  }

  /** Commits what a quorum holds. Only an entry of this term commits by counting (figure 8). */
  maybeCommit(): boolean {
    const before = this.log.commit;
    const quorum = this.tracker.committed();
    if (quorum <= before || !this.log.matches(quorum, this.term)) return false;
    this.log.commitTo(quorum);
    for (let i = Math.max(before + 1, this.leadershipIndex); i <= quorum; i++) {
      this.uncommittedBytes -= this.log.entry(i)!.data.length;
    }
    assert(this.uncommittedBytes >= 0, 'uncommitted bytes leak', this.uncommittedBytes);
    if (this.config.commitNews !== 'carried') this.broadcastDue = true;
    return true;
  }

  /**
   * Reports whether an entry of the leader's own term is committed, so that it may serve reads
   * (thesis §6.4, step 1).
   */
  get committedInTerm(): boolean {
    return this.log.matches(this.log.commit, this.term);
  }

  // --- Configuration

  /** Reports whether an election timeout makes us campaign. */
  get promotable(): boolean {
    return isVoter(this.tracker.conf, this.id) && !this.log.unstable.installing && !this.restoring;
  }

  /**
   * Reports whether a committed change is not applied: we would count with an old configuration.
   */
  get hasUnappliedConfChange(): boolean {
    return this.log.hasConfChange(this.log.applied, this.log.commit);
  }

  setConf(conf: ConfState): void {
    this.tracker.setConf(conf, this.log.lastIndex, this.ticks);
  }

  changeConf(change: ConfChange): ConfState {
    this.setConf(changeConf(this.tracker.conf, change));
    return this.tracker.conf;
  }

  // --- Messages

  /** Sends a message. Acknowledgements and votes wait until what they report is durable here. */
  send(message: Message): void {
    switch (message.type) {
      case MessageType.PreVoteResponse:
      case MessageType.VoteResponse:
        this.promises.push(message);
        break;
      case MessageType.AppendResponse:
        this.promiseAppend(message);
        break;
      default:
        assert(message.to !== this.id, 'a message to the member itself', message.type);
        this.messages.push(message);
    }
  }

  /** An acceptance says "up to here", so it replaces the one before it. */
  private promiseAppend(message: AppendResponseMessage): void {
    const last = this.promises.at(-1);
    const supersedes =
      last?.type === MessageType.AppendResponse &&
      last.to === message.to &&
      last.term === message.term &&
      !last.rejected &&
      !message.rejected &&
      last.match <= message.match;
    if (supersedes) this.promises.pop();
    this.promises.push(message);
  }
}
