import {
  type ConfChange,
  changeConf,
  encodeConfChange,
  isJoint,
  isVoter,
  LEAVE_JOINT,
} from './conf-change.js';
import type { RaftConfig } from './config.js';
import { CampaignReason, campaign, tickElection } from './election.js';
import {
  addRead,
  beginReadRound,
  commitAdvanced,
  releaseReads,
  resign,
  selfAck,
  tickLeader,
  transferLeader,
} from './leader.js';
import { type Message, MessageType } from './message.js';
import { ProgressState } from './progress.js';
import { type InitialState, Raft, type ReadState, Role } from './raft.js';
import { broadcast } from './replication.js';
import { step } from './step.js';
import {
  type ConfState,
  type Entry,
  EntryKind,
  type HardState,
  type Index,
  type MemberId,
  NOBODY,
  type SnapshotMeta,
  type Term,
} from './types.js';

/**
 * One durable write, and what may happen once it is done. Writes complete in the order they were
 * handed out; `RaftCore.appended` is called for each, also for one that holds only responses.
 */
export interface AppendWork {
  readonly hardState?: HardState;
  readonly entries: readonly Entry[];
  readonly snapshot?: SnapshotMeta;
  readonly mustSync: boolean;
  /** They leave, or come home, when the write is done. */
  readonly responses: readonly Message[];
  /** The term the write was made in. */
  readonly term: Term;
  /** The last entry that is durable when this write and all before it are; absent if none was not. */
  readonly attested?: { readonly index: Index; readonly term: Term };
}

/** Committed entries, durable here, to apply in order. `RaftCore.applied` is called afterwards. */
export interface ApplyWork {
  readonly entries: readonly Entry[];
}

export interface SoftState {
  readonly role: Role;
  readonly leader: MemberId;
  readonly term: Term;
}

/** What the host has to do. Each part may be done while the others are under way. */
export interface Ready {
  /** To send at once, in order. A Snapshot names who needs one; the host adds the state. */
  readonly messages: readonly Message[];
  readonly append?: AppendWork;
  readonly apply?: ApplyWork;
  readonly readStates: readonly ReadState[];
  /** Present when it changed. */
  readonly softState?: SoftState;
}

/** Why a proposal was not taken; it is surely not in the log. */
export const Refusal = {
  NotLeader: 'not-leader',
  /** Leadership is being handed over. */
  Transferring: 'transferring',
  /** Too much is proposed and not committed. */
  Overloaded: 'overloaded',
  /** The membership change before it is not applied. */
  ConfChangePending: 'conf-change-pending',
} as const;
export type Refusal = (typeof Refusal)[keyof typeof Refusal];

export type ProposeResult =
  | { readonly index: Index; readonly term: Term; readonly refusal?: undefined }
  | { readonly refusal: Refusal };

export interface MemberProgress {
  readonly id: MemberId;
  readonly isLearner: boolean;
  /** As a leader knows them; 0 and false elsewhere. */
  readonly match: Index;
  readonly next: Index;
  readonly state: ProgressState;
  /** Heard within the last election timeout. */
  readonly active: boolean;
}

export interface CoreStatus {
  readonly id: MemberId;
  readonly role: Role;
  readonly term: Term;
  readonly vote: MemberId;
  readonly leader: MemberId;
  readonly commit: Index;
  readonly applied: Index;
  readonly firstIndex: Index;
  readonly lastIndex: Index;
  readonly conf: ConfState;
  readonly members: readonly MemberProgress[];
}

const NO_MESSAGES: readonly Message[] = [];
const NO_READS: readonly ReadState[] = [];

/**
 * The Raft core of one member, in the shape of etcd's asynchronous storage: messages, ticks and
 * completions go in; `ready` says what to send, write and apply. All calls are synchronous, and the
 * same calls give the same results, which is what lets a simulator replay a run from its seed.
 *
 * The caller must: send messages to one member in order (losing them is allowed), complete writes in
 * the order they were handed out and only when durable, apply in order.
 */
export class RaftCore {
  private readonly raft: Raft;
  private written: HardState;
  private soft: SoftState;

  /** @throws RaftConfigError, RaftFaultError when the recovered state contradicts itself. */
  constructor(config: RaftConfig, initial: InitialState) {
    this.raft = new Raft(config, initial);
    this.written = initial.hardState;
    this.soft = this.currentSoft();
  }

  // --- Input

  /**
   * A message from a peer. A Snapshot is stepped when the state machine has taken its state over;
   * from then on the member counts as having applied it.
   */
  step(message: Message): void {
    if (message.from !== this.raft.id) step(this.raft, message);
  }

  tick(): void {
    this.raft.ticks++;
    if (this.raft.role === Role.Leader) tickLeader(this.raft);
    else tickElection(this.raft);
  }

  /** Starts an election now, as if the leader had been silent. @returns whether it may. */
  campaign(): boolean {
    return campaign(this.raft, CampaignReason.Timeout);
  }

  /** Appends entries, one for each data, all or none. */
  propose(datas: readonly Uint8Array[]): ProposeResult {
    const { raft } = this;
    const refusal = this.refuses();
    if (refusal !== undefined) return { refusal };
    let bytes = 0;
    for (const data of datas) bytes += data.length;
    // One proposal beyond the limit is let through, else a large one could never be made.
    const over = raft.uncommittedBytes + bytes > raft.config.maxUncommittedBytes;
    if (over && raft.uncommittedBytes > 0 && bytes > 0) return { refusal: Refusal.Overloaded };
    return { index: raft.appendOwn(datas, EntryKind.Normal), term: raft.term };
  }

  /** @throws ConfChangeError when the configuration does not allow the change. */
  proposeConfChange(change: ConfChange): ProposeResult {
    const { raft } = this;
    const refusal = this.refuses();
    if (refusal !== undefined) return { refusal };
    const leaving = change.changes.length === 0;
    if (raft.pendingConfIndex > raft.log.applied || isJoint(raft.tracker.conf) !== leaving) {
      return { refusal: Refusal.ConfChangePending };
    }
    changeConf(raft.tracker.conf, change);
    return this.appendConfChange(change);
  }

  private appendConfChange(change: ConfChange): ProposeResult {
    const { raft } = this;
    const index = raft.appendOwn([encodeConfChange(change)], EntryKind.ConfChange);
    raft.pendingConfIndex = index;
    return { index, term: raft.term };
  }

  private refuses(): Refusal | undefined {
    if (this.raft.role !== Role.Leader) return Refusal.NotLeader;
    return this.raft.transferee === NOBODY ? undefined : Refusal.Transferring;
  }

  /**
   * Asks for the index at which a read is linearizable; it comes as a read state with the caller's
   * `context`, or never (messages get lost): ask again.
   * @returns false when there is no leader to ask, or too many reads wait.
   */
  readIndex(context: number): boolean {
    const { raft } = this;
    if (raft.role === Role.Leader) return addRead(raft, { from: raft.id, context });
    if (raft.leader === NOBODY) return false;
    raft.send(MessageType.ReadIndex, raft.leader, { context });
    return true;
  }

  /** The leader hands over to `to`; a follower can ask it to hand over to itself. @returns whether it began. */
  transferLeader(to: MemberId): boolean {
    const { raft } = this;
    if (raft.role === Role.Leader) return transferLeader(raft, to);
    if (to !== raft.id || raft.leader === NOBODY || !raft.promotable) return false;
    raft.send(MessageType.TransferLeader, raft.leader);
    return true;
  }

  /** Gives up leadership, if held: for a host that cannot make its log durable. */
  stepDown(): void {
    this.raft.stepDown();
  }

  /**
   * A follower that knows by other means that its leader is gone takes part in the next election at
   * once, instead of defending the leader for an election timeout. It campaigns no sooner itself, and a
   * leader that still is one wins it back with its next message. Without effect in other roles.
   */
  forgetLeader(): void {
    if (this.raft.role === Role.Follower) this.raft.leader = NOBODY;
  }

  /** A message to this member was lost: do not run ahead of its answers until one comes. */
  reportUnreachable(id: MemberId): void {
    const progress = this.raft.tracker.get(id);
    if (this.raft.role !== Role.Leader || id === this.raft.id) return;
    if (progress?.state === ProgressState.Replicate) progress.becomeProbe();
  }

  /** How the snapshot ordered for a member went; must be told in either case. */
  reportSnapshot(id: MemberId, ok: boolean): void {
    const progress = this.raft.tracker.get(id);
    if (this.raft.role !== Role.Leader || progress?.state !== ProgressState.Snapshot) return;
    if (ok) progress.becomeProbe();
    else progress.snapshotFailed();
    // Its answer to the snapshot, or to a heartbeat, says where to go on.
    progress.pause();
  }

  /** Between this and `endRestore` the state machine is being replaced: nothing is applied, no campaign. */
  beginRestore(): void {
    this.raft.restoring = true;
  }

  /** @param stateIndex the state machine's index afterwards */
  endRestore(stateIndex: Index): void {
    this.raft.restoring = false;
    this.raft.stateIndex = Math.max(this.raft.stateIndex, stateIndex);
  }

  /** Whether a snapshot is being taken over: by the state machine, or by the disk. */
  get installing(): boolean {
    return this.raft.restoring || this.raft.log.unstable.installing;
  }

  // --- Output

  get hasReady(): boolean {
    const { raft } = this;
    const { log } = raft;
    return (
      raft.messages.length > 0 ||
      raft.promises.length > 0 ||
      raft.readStates.length > 0 ||
      raft.broadcastDue ||
      raft.readOnly.hasWaiting ||
      log.unstable.writing < log.lastIndex ||
      log.unstable.snapshot !== undefined ||
      (!raft.restoring && log.applying < log.applicable) ||
      this.ballotChanged ||
      this.softChanged
    );
  }

  /** What there is to do since the last call; undefined when there is nothing. */
  ready(): Ready | undefined {
    if (!this.hasReady) return undefined;
    const { raft } = this;
    beginReadRound(raft);
    if (raft.broadcastDue) {
      raft.broadcastDue = false;
      broadcast(raft);
    }
    const append = this.takeAppend();
    const entries = raft.restoring ? [] : raft.log.takeApply(raft.config.maxApplyBytes);
    const { messages, readStates } = raft;
    if (messages.length > 0) raft.messages = [];
    if (readStates.length > 0) raft.readStates = [];
    const softState = this.softChanged ? this.currentSoft() : undefined;
    if (softState !== undefined) this.soft = softState;
    return {
      messages: messages.length > 0 ? messages : NO_MESSAGES,
      readStates: readStates.length > 0 ? readStates : NO_READS,
      ...(append !== undefined && { append }),
      ...(entries.length > 0 && { apply: { entries } }),
      ...(softState !== undefined && { softState }),
    };
  }

  private takeAppend(): AppendWork | undefined {
    const { raft } = this;
    const { log } = raft;
    const { unstable } = log;
    const entries = log.slice(unstable.writing, log.lastIndex, Number.POSITIVE_INFINITY);
    const snapshot = unstable.snapshot;
    const mustSync = entries.length > 0 || snapshot !== undefined || this.ballotChanged;
    if (!mustSync && raft.promises.length === 0) return undefined;
    const responses = raft.promises;
    raft.promises = [];
    unstable.taken(log.lastIndex);
    if (mustSync) this.written = raft.hardState;
    return {
      ...(mustSync && { hardState: this.written }),
      entries,
      ...(snapshot !== undefined && { snapshot }),
      mustSync,
      responses,
      term: raft.term,
      ...(unstable.stable < log.lastIndex && {
        attested: { index: log.lastIndex, term: log.lastTerm },
      }),
    };
  }

  private get ballotChanged(): boolean {
    return this.raft.term !== this.written.term || this.raft.vote !== this.written.vote;
  }

  private get softChanged(): boolean {
    const { role, leader, term } = this.raft;
    return role !== this.soft.role || leader !== this.soft.leader || term !== this.soft.term;
  }

  private currentSoft(): SoftState {
    const { role, leader, term } = this.raft;
    return { role, leader, term };
  }

  // --- Completions

  /**
   * The write, and all handed out before it, are durable.
   *
   * Only a write made in the current term may mark entries durable. Otherwise this could happen:
   * (1) entry 5 of term 1 is being written; (2) another leader replaces it in memory, the new write
   * waits; (3) a third leader brings back entry 5 of term 1, that write waits too; (4) the first write
   * completes, and as index and term match, we would acknowledge entry 5; (5) the second write
   * removes it from the disk; (6) we crash, having lost what we acknowledged. Nothing hangs for it:
   * each new term has a write of its own, which attests all that is under way.
   */
  appended(work: AppendWork): void {
    const { raft } = this;
    if (work.snapshot !== undefined) raft.log.unstable.snapshotStable(work.snapshot.index);
    const { attested } = work;
    if (
      attested !== undefined &&
      work.term === raft.term &&
      raft.log.matches(attested.index, attested.term)
    ) {
      raft.log.unstable.stableTo(attested.index);
      if (raft.role === Role.Leader) selfAck(raft);
    }
    for (const response of work.responses) {
      if (response.to === raft.id) step(raft, response);
      else raft.messages.push(response);
    }
  }

  /**
   * The configuration change of a committed entry takes effect; called while that entry is being
   * applied, before `applied`.
   * @returns the new configuration.
   * @throws ConfChangeError when it is not allowed: on every member alike, so the entry has no effect.
   */
  applyConfChange(change: ConfChange): ConfState {
    const { raft } = this;
    const leads = raft.role === Role.Leader;
    // Who is about to be removed learns that it is. And if that is us: the others learn that the change
    // is committed, or the last of two would wait for our vote for ever.
    if (leads) broadcast(raft);
    const conf = raft.changeConf(change);
    if (!leads) return conf;
    if (!isVoter(conf, raft.id)) {
      resign(raft);
      return conf;
    }
    if (!isVoter(conf, raft.transferee)) raft.transferee = NOBODY;
    // A smaller quorum may already have what a larger one had not.
    commitAdvanced(raft);
    releaseReads(raft);
    raft.broadcastDue = true;
    return conf;
  }

  /** Everything up to `index` is applied. */
  applied(index: Index): void {
    const { raft } = this;
    raft.log.appliedTo(index);
    if (raft.role === Role.Leader) {
      const { conf } = raft.tracker;
      if (conf.autoLeave && raft.log.applied >= raft.pendingConfIndex) {
        this.appendConfChange(LEAVE_JOINT);
      }
    } else if (raft.campaignWhenApplied && !raft.hasUnappliedConfChange) {
      raft.campaignWhenApplied = false;
      campaign(raft, CampaignReason.Transfer);
    }
  }

  /** Forgets entries up to `index` in memory; they are applied, and compacted on disk. */
  compact(index: Index): void {
    this.raft.log.compact(index);
  }

  // --- Questions

  /** Undefined when the entry is compacted or does not exist. */
  termAt(index: Index): Term | undefined {
    return this.raft.log.term(index);
  }

  get role(): Role {
    return this.raft.role;
  }

  get term(): Term {
    return this.raft.term;
  }

  get leader(): MemberId {
    return this.raft.leader;
  }

  get commitIndex(): Index {
    return this.raft.log.commit;
  }

  get appliedIndex(): Index {
    return this.raft.log.applied;
  }

  get lastIndex(): Index {
    return this.raft.log.lastIndex;
  }

  get firstIndex(): Index {
    return this.raft.log.firstIndex;
  }

  get conf(): ConfState {
    return this.raft.tracker.conf;
  }

  /** Proposed by this leader and not committed. */
  get uncommittedBytes(): number {
    return this.raft.uncommittedBytes;
  }

  /** The entry that began this leadership; 0 when not leading. */
  get leadershipIndex(): Index {
    return this.raft.leadershipIndex;
  }

  /** Whether this leader heard a quorum within the last election timeout. */
  get quorumActive(): boolean {
    const { raft } = this;
    const since = raft.ticks - raft.config.electionTicks;
    return raft.role === Role.Leader && raft.tracker.quorumActive(raft.id, since);
  }

  status(): CoreStatus {
    const { raft } = this;
    const { role, term, vote, leader, log, tracker } = raft;
    return {
      id: raft.id,
      role,
      term,
      vote,
      leader,
      commit: log.commit,
      applied: log.applied,
      firstIndex: log.firstIndex,
      lastIndex: log.lastIndex,
      conf: tracker.conf,
      members: tracker.members.map((id) => this.memberProgress(id)),
    };
  }

  memberProgress(id: MemberId): MemberProgress {
    const { raft } = this;
    const known = raft.tracker.get(id);
    const leads = raft.role === Role.Leader;
    const self = id === raft.id;
    return {
      id,
      isLearner: known?.isLearner ?? false,
      match: leads ? (known?.match ?? 0) : 0,
      next: leads ? (known?.next ?? 0) : 0,
      state: known?.state ?? ProgressState.Probe,
      active:
        self ||
        (leads &&
          known !== undefined &&
          raft.ticks - known.lastActiveTick <= raft.config.electionTicks),
    };
  }
}
