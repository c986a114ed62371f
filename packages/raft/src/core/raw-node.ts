import { appended, applied, applyConfChange } from './completion.js';
import { type ConfChange, isJoint } from './conf-change.js';
import type { RaftConfig } from './config.js';
import { CampaignReason, campaign, tickElection } from './election.js';
import { addRead, leaseRemainingMs, tickLeader, transferLeader } from './leader.js';
import { type Message, MessageType } from './message.js';
import { Output } from './output.js';
import { ProgressState } from './progress.js';
import { isBound } from './promise.js';
import { type ProposeResult, propose, proposeConfChange } from './proposal.js';
import { type InitialState, Raft, Role } from './raft.js';
import { broadcastCommit, commitUntold } from './replication.js';
import type { AppendWork, Ready } from './ready.js';
import { type CoreStatus, type MemberProgress, progressOf, statusOf } from './status.js';
import { step } from './step.js';
import { type ConfState, type Index, type MemberId, NOBODY, type Term } from './types.js';

export { type ProposeResult, Refusal } from './proposal.js';
export type { AppendWork, ApplyWork, Ready, SoftState } from './ready.js';
export type { CoreStatus, MemberProgress } from './status.js';

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
  private readonly output: Output;

  /** @throws RaftConfigError, RaftFaultError when the recovered state contradicts itself. */
  constructor(config: RaftConfig, initial: InitialState) {
    this.raft = new Raft(config, initial);
    this.output = new Output(this.raft, initial.hardState);
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
    return propose(this.raft, datas);
  }

  /** @throws ConfChangeError when the configuration does not allow the change. */
  proposeConfChange(change: ConfChange): ProposeResult {
    return proposeConfChange(this.raft, change);
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
    const { id: from, leader: to, term } = raft;
    raft.send({ type: MessageType.ReadIndex, from, to, term, context });
    return true;
  }

  /** The leader hands over to `to`; a follower can ask it to hand over to itself. @returns whether it began. */
  transferLeader(to: MemberId): boolean {
    const { raft } = this;
    if (raft.role === Role.Leader) return transferLeader(raft, to);
    if (to !== raft.id || raft.leader === NOBODY || !raft.promotable) return false;
    const { id: from, leader, term } = raft;
    raft.send({ type: MessageType.TransferLeader, from, to: leader, term });
    return true;
  }

  /** Gives up leadership, if held: for a host that cannot make its log durable. */
  stepDown(): void {
    this.raft.stepDown();
  }

  /**
   * A follower that knows by other means that its leader is gone takes part in the next election at
   * once, instead of defending the leader for an election timeout. It campaigns no sooner itself, and a
   * leader that still is one wins it back with its next message. Without effect in other roles, and
   * while the leader may count on our promise to defend it (promise.ts).
   */
  forgetLeader(): void {
    if (this.raft.role === Role.Follower && !isBound(this.raft)) this.raft.leader = NOBODY;
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

  /** A leader tells the members at once what is committed (`RaftConfig.commitNews`). */
  tellCommit(): void {
    if (this.raft.role === Role.Leader) broadcastCommit(this.raft);
  }

  /** Whether members wait to be told of a commit. */
  get commitUntold(): boolean {
    return this.raft.role === Role.Leader && commitUntold(this.raft);
  }

  // --- Output

  get hasReady(): boolean {
    return this.output.hasReady;
  }

  /**
   * What there is to do since the last call; undefined when there is nothing.
   * @param nowMs a clock that never goes back, read just before this call; the messages must not leave
   *   before it. Without it there are no leases.
   */
  ready(nowMs?: number): Ready | undefined {
    return this.output.ready(nowMs);
  }

  // --- Completions

  /** The write, and all handed out before it, are durable. */
  appended(work: AppendWork): void {
    appended(this.raft, work);
  }

  /**
   * The configuration change of a committed entry takes effect; called while that entry is being
   * applied, before `applied`.
   * @returns the new configuration.
   * @throws ConfChangeError when it is not allowed: on every member alike, so the entry has no effect.
   */
  applyConfChange(change: ConfChange): ConfState {
    return applyConfChange(this.raft, change);
  }

  /** Everything up to `index` is applied. */
  applied(index: Index): void {
    applied(this.raft, index);
  }

  /** Forgets entries up to `index` in memory; they are applied, and compacted on disk. */
  compact(index: Index): void {
    this.raft.log.compact(index);
  }

  // --- Questions

  /** The index behind which `count` applied entries are left, fewer when they have more than `maxBytes`. */
  indexBeforeTail(count: number, maxBytes: number): Index {
    const { log } = this.raft;
    return log.indexBefore(log.applied, count, maxBytes);
  }

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

  /**
   * Leader: it has applied what was there before it, so that it knows the members and has heard a quorum;
   * no membership change is in the log and not applied, no joint configuration is to be left.
   */
  get confSettled(): boolean {
    const { log, leadershipIndex, pendingConfIndex } = this.raft;
    return log.applied >= Math.max(leadershipIndex, pendingConfIndex) && !isJoint(this.conf);
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

  /** How long this leader may still read without asking a quorum; 0 when it may not. */
  leaseRemainingMs(nowMs: number): number {
    return leaseRemainingMs(this.raft, nowMs);
  }

  /** Questions for a read that a leader here answered under a lease. */
  get leaseReads(): number {
    return this.raft.leaseReads;
  }

  /** Questions for a read for which a leader here had to ask a quorum. */
  get quorumReads(): number {
    return this.raft.quorumReads;
  }

  status(): CoreStatus {
    return statusOf(this.raft);
  }

  memberProgress(id: MemberId): MemberProgress {
    return progressOf(this.raft, id);
  }
}
