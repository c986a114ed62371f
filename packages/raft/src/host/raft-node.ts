import { DEFAULT_CONFIG } from '../core/config.js';
import { type Message, MessageType } from '../core/message.js';
import { type AppendWork, RaftCore, type Ready } from '../core/raw-node.js';
import {
  type Entry,
  EntryKind,
  type Index,
  type MemberId,
  type MemberInfo,
  NOBODY,
  type SnapshotMeta,
} from '../core/types.js';
import { AppliedState } from './applied-state.js';
import { Compaction } from './compaction.js';
import { Conditions } from './conditions.js';
import {
  NotLeaderError,
  OverloadedError,
  QuorumLostError,
  RaftStoppedError,
  RaftTimeoutError,
  SnapshotRefusedError,
} from './errors.js';
import { Leadership, type LeadershipListener, type LeadershipState } from './leadership.js';
import { LogWriter } from './log-writer.js';
import { type Metric, readMetrics } from '../metrics.js';
import { bestSuccessor, MemberChanges } from './member-changes.js';
import type { Membership } from './membership.js';
import {
  DEFAULT_LIMITS,
  type RaftLimits,
  type RaftLogger,
  type RaftNodeOptions,
  SILENT_LOGGER,
} from './options.js';
import { Observer } from './observer.js';
import { Peers } from './peers.js';
import { ProposalQueue } from './proposal-queue.js';
import { type ProposalDone, Proposals } from './proposals.js';
import { Reads } from './reads.js';
import { type Recovery, recover } from './recovery.js';
import { SnapshotSender } from './snapshot-sender.js';
import type { StateView } from './state-machine.js';
import { type MembersListener, type RaftStatus, rolesOf, statusOf } from './status.js';
import { Ticker } from './ticker.js';

/** Rounds of work in one turn of the event loop; what is left waits for the next. */
const MAX_ROUNDS_PER_TURN = 16;
/** A question for a read index without an answer is asked again after so many ticks. */
const READ_RETRY_TICKS = 3;

const NO_DATA = new Uint8Array(0);

export type { MembersListener, MemberStatus, RaftStatus } from './status.js';

/**
 * One member of a Raft cluster: the pure core with a clock, a disk, a network and a state machine.
 *
 * Everything happens in turns, at most one per turn of the event loop: take in finished writes,
 * messages, a tick and proposals; then carry out what the core says, until it has no more. Messages
 * leave before the disk is asked, so a leader's disk works while its followers' do.
 */
export class RaftNode {
  private readonly options: RaftNodeOptions;
  private readonly limits: RaftLimits;
  private readonly logger: RaftLogger;
  private readonly core: RaftCore;
  private readonly observer: Observer;
  private readonly membership: Membership;
  private readonly writer: LogWriter;
  private readonly snapshots: SnapshotSender;
  private readonly changes: MemberChanges;
  private readonly leadership: Leadership;
  private readonly proposals = new Proposals();
  private readonly reads: Reads;
  private readonly conditions = new Conditions();
  private readonly queue: ProposalQueue;
  private readonly state: AppliedState;
  private readonly compaction: Compaction;
  private readonly peers: Peers;
  private readonly ticker: Ticker;
  private readonly membersListeners = new Set<MembersListener>();

  private inbox: Message[] = [];
  private written: AppendWork[] = [];
  private tickDue = false;
  private scheduled = false;
  private stopped = false;
  private closed: Promise<void> | undefined;
  private ticks = 0;
  private restoring = false;
  private replayed = false;

  /**
   * Opens the log, starts the transport and takes part.
   * @throws RaftConfigError, StorageCorruptError, StateBehindLogError, or what the storage throws.
   */
  static async open(options: RaftNodeOptions): Promise<RaftNode> {
    const recovery = await recover(options);
    const node = new RaftNode(options, recovery);
    node.start();
    return node;
  }

  private constructor(options: RaftNodeOptions, { initial, membership }: Recovery) {
    this.options = options;
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.logger = options.logger ?? SILENT_LOGGER;
    const { clock, stateMachine, storage, transport, random } = options;
    const { limits, logger } = this;
    this.core = new RaftCore(
      {
        id: options.id,
        electionTicks: this.electionTicks,
        heartbeatTicks: options.heartbeatTicks ?? DEFAULT_CONFIG.heartbeatTicks,
        random,
        maxBytesPerMessage: limits.maxBytesPerMessage,
        maxInflightMessages: limits.maxInflightMessages,
        maxInflightBytes: limits.maxInflightBytes,
        maxUncommittedBytes: limits.maxUncommittedBytes,
        maxApplyBytes: limits.maxApplyBytes,
      },
      initial,
    );
    this.observer = new Observer(this.core, options.trace);
    this.membership = membership;
    const { counters } = this.observer;
    this.state = new AppliedState(stateMachine, clock, counters);
    const seeds = options.seeds ?? [];
    this.peers = new Peers(options.id, seeds, membership, transport, this.electionTicks);
    this.queue = new ProposalQueue(this.core, limits, this.proposals, this.observer, () =>
      this.noLeadership(),
    );
    this.leadership = new Leadership(clock.now());
    this.reads = new Reads(random);
    const fail = (error: unknown) => this.fail(error);
    this.writer = new LogWriter(
      storage,
      (works) => {
        for (const work of works) this.written.push(work);
        this.wake();
      },
      fail,
      { now: () => clock.now(), synced: (ms) => this.observer.counters.sync.observeMs(ms) },
    );
    this.snapshots = new SnapshotSender({
      stateMachine,
      transport,
      clock,
      logger,
      timeoutMs: limits.snapshotTimeoutMs,
      maxSent: limits.maxSnapshotsSent,
      meta: (index) => this.snapshotMeta(index),
      takeView: () => this.state.view(),
      report: (to, ok) => {
        if (ok) this.observer.counters.snapshotsSent++;
        else this.observer.counters.snapshotsFailed++;
        this.core.reportSnapshot(to, ok);
        this.wake();
      },
      onError: fail,
    });
    this.changes = new MemberChanges({
      id: options.id,
      core: this.core,
      membership,
      proposals: this.proposals,
      conditions: this.conditions,
      clock,
      limits,
      leader: () => this.leaderInfo(),
      wake: () => this.wake(),
      transfer: (to) => this.transferLeadership(to),
      proposed: () => this.observer.confProposed(),
    });
    this.compaction = new Compaction(
      {
        core: this.core,
        membership,
        state: this.state,
        storage,
        limits,
        counters,
        meta: (index) => this.snapshotMeta(index),
        oldestIndex: () => this.snapshots.oldestIndex,
        fail,
      },
      initial.base.index,
    );
    this.ticker = new Ticker(clock, this.tickMs, () => {
      this.tickDue = true;
      this.turn();
    });
  }

  private get tickMs(): number {
    return this.options.tickMs ?? 100;
  }

  private get electionTicks(): number {
    return this.options.electionTicks ?? DEFAULT_CONFIG.electionTicks;
  }

  private start(): void {
    this.peers.reset();
    this.options.transport.start({
      receive: (message) => this.receive(message),
      unreachable: (id) => this.core.reportUnreachable(id),
      snapshotSent: (id, ok) => this.snapshots.finished(id, ok),
      receiveSnapshot: (message, chunks) => this.receiveSnapshot(message, chunks),
    });
    this.ticker.start();
    this.wake();
  }

  // --- Proposals and reads

  /**
   * Replicates `data` and applies it here. Resolves with the state machine's result.
   * @throws NotLeaderError, ProposalDroppedError, ProposalTooLargeError, OverloadedError,
   *   QuorumLostError: surely not applied; ProposalUnknownError, RaftStoppedError: perhaps applied.
   */
  propose(data: Uint8Array): Promise<{ index: Index; result: unknown }> {
    return new Promise((resolve, reject) => {
      this.submit(data, (error, result, index) =>
        error === undefined ? resolve({ index, result }) : reject(error),
      );
    });
  }

  /** As `propose`, without the cost of a promise: `done` is called once, possibly at once. */
  submit(data: Uint8Array, done: ProposalDone): void {
    const error = this.stopped ? new RaftStoppedError() : this.queue.refusal(data);
    this.observer.counters.proposals++;
    if (error !== undefined) {
      this.observer.counters.proposalsRefused++;
      done(error, undefined, 0);
      return;
    }
    this.queue.add(data, done);
    this.wake();
  }

  private noLeadership(): Error {
    const leaderlessMs = this.leaderlessMs();
    if (leaderlessMs >= this.limits.quorumLostMs) return new QuorumLostError(leaderlessMs);
    return new NotLeaderError(this.leaderInfo());
  }

  /**
   * Resolves, on any member, when it is safe to read the local state machine: with everything applied
   * that was committed when the call was made.
   * @throws RaftTimeoutError, QuorumLostError, OverloadedError, RaftStoppedError
   */
  readIndex(): Promise<Index> {
    return new Promise((resolve, reject) => {
      if (this.stopped) return reject(new RaftStoppedError());
      if (this.reads.length >= this.limits.maxReads) return reject(new OverloadedError());
      const deadlineMs = this.options.clock.now() + this.limits.readTimeoutMs;
      this.reads.add(deadlineMs, (error, index) =>
        error === undefined ? resolve(index) : reject(error),
      );
      this.wake();
    });
  }

  /**
   * Resolves when everything proposed before is applied here, proven by an entry of its own.
   * @throws as `propose`
   */
  barrier(): Promise<Index> {
    return new Promise((resolve, reject) => {
      if (this.stopped) return reject(new RaftStoppedError());
      if (this.core.role !== 'leader') return reject(this.noLeadership());
      const done: ProposalDone = (error, _result, index) =>
        error === undefined ? resolve(index) : reject(error);
      this.queue.add(NO_DATA, done);
      this.wake();
    });
  }

  // --- Membership and leadership

  /**
   * Adds a member: as a learner, and as a voter once it has 90 % of the log. Idempotent. Changes wait
   * for each other.
   * @throws NotLeaderError, MemberRemovedError, RaftTimeoutError (it is no member then), OverloadedError
   */
  addMember(info: MemberInfo): Promise<void> {
    return this.orStopped(() => this.changes.add(info));
  }

  /**
   * Removes a member for good. A leader asked to remove itself hands over first and then fails with
   * NotLeaderError: ask the new leader.
   * @throws NotLeaderError, MemberNotFoundError, RemovalLosesQuorumError, RaftTimeoutError
   */
  removeMember(id: MemberId): Promise<void> {
    return this.orStopped(() => this.changes.remove(id));
  }

  /** Changes a member's address; never its role. @throws NotLeaderError, MemberNotFoundError */
  updateMember(info: MemberInfo): Promise<void> {
    return this.orStopped(() => this.changes.update(info));
  }

  private orStopped(job: () => Promise<void>): Promise<void> {
    return !this.stopped ? job() : Promise.reject(new RaftStoppedError());
  }

  /**
   * Hands leadership to `to`, or to the voter that could take it soonest. A follower can only ask for
   * itself. Resolves when another member is known to lead (a follower: when it leads itself).
   * @throws NotLeaderError, RaftTimeoutError
   */
  async transferLeadership(to?: MemberId): Promise<void> {
    const { core, conditions, options } = this;
    if (this.stopped) throw new RaftStoppedError();
    if (core.role !== 'leader' && to !== options.id) throw new NotLeaderError(this.leaderInfo());
    if (core.role === 'leader' && to === options.id) return;
    const timeoutMs = 2 * this.electionTicks * this.tickMs;
    const late = () => new RaftTimeoutError('the transfer of leadership', timeoutMs);
    const target = to ?? bestSuccessor(core);
    if (target === undefined || !core.transferLeader(target)) throw late();
    this.wake();
    await conditions.until(
      () => (core.leader === target ? true : undefined),
      options.clock.now() + timeoutMs,
      late,
    );
  }

  /** The leader's or this member's knowledge, as of now. */
  status(): RaftStatus {
    return statusOf(this.core, this.membership, this.leaderInfo());
  }

  /** What this node counted since it was opened, and how it is now. README, Metrics. */
  metrics(): readonly Metric[] {
    const { core, proposals, reads, writer } = this;
    const { conf } = core;
    return readMetrics(this.observer.counters, {
      term: core.term,
      isLeader: core.role === 'leader',
      hasLeader: core.leader !== NOBODY,
      commit: core.commitIndex,
      applied: core.appliedIndex,
      firstIndex: core.firstIndex,
      lastIndex: core.lastIndex,
      voters: new Set([...conf.voters, ...conf.votersOutgoing]).size,
      learners: conf.learners.length,
      uncommittedBytes: core.uncommittedBytes,
      queues: {
        proposals: this.queue.length,
        uncommitted: proposals.length,
        inbox: this.inbox.length,
        reads: reads.length,
        writes: writer.length,
      },
      proposalsDone: proposals.ended,
    });
  }

  /**
   * The state as it is now, with the membership of its index: what a backup is made of. Nothing waits
   * for it while it is read; the caller releases it. Not a linearizable read by itself: see `readIndex`.
   * @throws RaftStoppedError, SnapshotRefusedError (a snapshot is being taken over: try again)
   */
  async view(): Promise<{ readonly meta: SnapshotMeta; readonly view: StateView }> {
    if (this.stopped) throw new RaftStoppedError();
    const view = await this.state.view();
    const meta = this.stopped ? undefined : this.snapshotMeta(view.index);
    if (meta !== undefined) return { meta, view };
    await view.release();
    if (this.stopped) throw new RaftStoppedError();
    throw new SnapshotRefusedError('the log does not know the index of the state yet; try again');
  }

  /** A leader: whether it heard a majority within an election timeout. Others: whether one leads. */
  hasQuorum(): boolean {
    return this.core.role === 'leader' ? this.core.quorumActive : this.core.leader !== NOBODY;
  }

  /** Milliseconds since a leader was last known; 0 while one is. */
  leaderlessMs(): number {
    return this.leadership.leaderlessMs(this.options.clock.now());
  }

  /** Tells of each change; `isLeader` only when all committed before is applied. @returns an end to it */
  onLeadership(listener: LeadershipListener): () => void {
    return this.leadership.listen(listener);
  }

  /** What `onLeadership` told last; a new listener starts from it. */
  get currentLeadership(): LeadershipState {
    return this.leadership.current;
  }

  /** Tells of each change of the membership, once it is applied. @returns an end to it */
  onMembers(listener: MembersListener): () => void {
    this.membersListeners.add(listener);
    return () => this.membersListeners.delete(listener);
  }

  private leaderInfo(): MemberInfo | undefined {
    const { leader } = this.core;
    if (leader === NOBODY) return undefined;
    const known = this.membership.info(leader);
    return known ?? this.options.seeds?.find(({ id }) => id === leader);
  }

  // --- The end

  /** Hands leadership over if it can, within an election timeout, then stops. */
  async close(): Promise<void> {
    if (!this.stopped && this.core.role === 'leader') {
      // Failing to hand over only costs the others an election.
      await this.transferLeadership().catch(() => undefined);
    }
    await this.stop();
  }

  /** Stops at once. Proposals under way fail with RaftStoppedError. Resolves when all is closed. */
  stop(): Promise<void> {
    this.closed ??= this.shutDown();
    return this.closed;
  }

  private async shutDown(): Promise<void> {
    const { clock, transport, storage } = this.options;
    this.stopped = true;
    this.ticker.stop();
    this.compaction.stop();
    this.inbox = [];
    // Whoever depends on leadership must know before the callers hear that their calls failed.
    this.leadership.update(
      { leader: undefined, isLeader: false, term: this.core.term },
      clock.now(),
    );
    const stopped = new RaftStoppedError();
    this.queue.rejectAll(stopped);
    this.proposals.rejectAll(stopped);
    this.reads.rejectAll(stopped);
    this.conditions.rejectAll(stopped);
    await transport.close();
    await this.snapshots.close();
    await this.writer.idle();
    await this.state.idle();
    await this.compaction.idle();
    await storage.close();
  }

  /** An error after which neither log nor state can be trusted: never retried, never ignored. */
  private fail(error: unknown): void {
    if (this.stopped) return;
    this.logger.error('raft member stops', { error: String(error) });
    this.stop().catch((closing: unknown) => {
      this.logger.error('closing failed', { error: String(closing) });
    });
    this.options.onFatal?.(error);
  }

  // --- Time

  private tick(): void {
    this.ticks++;
    this.writer.tick();
    // The event loop goes on heart-beating while a disk hangs; nobody could commit, nobody take over.
    if (this.core.role === 'leader' && this.writer.ticksInFlight >= this.electionTicks) {
      this.logger.warn('the disk is too slow to lead', { ticks: this.writer.ticksInFlight });
      this.core.stepDown();
    }
    this.core.tick();
    this.observer.moved();
    const nowMs = this.options.clock.now();
    this.reads.retry(this.ticks, READ_RETRY_TICKS, (context) => this.core.readIndex(context));
    this.reads.expire(nowMs, () => {
      const leaderlessMs = this.leaderlessMs();
      if (leaderlessMs >= this.limits.readTimeoutMs) return new QuorumLostError(leaderlessMs);
      return new RaftTimeoutError('the read', this.limits.readTimeoutMs);
    });
    this.peers.tick(this.ticks);
  }

  // --- The loop

  private wake(): void {
    if (this.scheduled || this.stopped) return;
    this.scheduled = true;
    this.options.clock.setImmediate(() => {
      this.scheduled = false;
      this.turn();
    });
  }

  private receive(message: Message): void {
    if (this.inbox.length >= this.limits.maxInboxMessages) {
      this.observer.counters.messagesDropped++;
      return;
    }
    this.inbox.push(message);
    this.wake();
  }

  private turn(): void {
    if (this.stopped) return;
    try {
      this.takeWritten();
      const inbox = this.inbox;
      this.inbox = [];
      for (const message of inbox) {
        this.observer.received(message);
        this.core.step(message);
        this.observer.moved();
      }
      if (this.tickDue) {
        this.tickDue = false;
        this.tick();
      }
      this.queue.take();
      this.reads.ask(this.ticks, (context) => this.core.readIndex(context));
      this.work();
      if (!this.replayed) this.afterReplay();
      this.conditions.run(this.options.clock.now());
      if (this.core.hasReady) this.wake();
    } catch (error) {
      this.fail(error);
    }
  }

  /** What was committed before the start is applied, the membership with it. */
  private afterReplay(): void {
    const { core } = this;
    if (core.appliedIndex < core.commitIndex) return;
    this.replayed = true;
    const { voters, votersOutgoing } = core.conf;
    const alone = voters.length === 1 && votersOutgoing.length === 0;
    // Alone, there is nobody to wait for.
    if (alone && voters[0] === this.options.id) core.campaign();
    this.observer.moved();
  }

  private takeWritten(): void {
    const works = this.written;
    if (works.length === 0) return;
    this.written = [];
    for (const work of works) this.core.appended(work);
    this.observer.moved();
  }

  private work(): void {
    for (let round = 0; round < MAX_ROUNDS_PER_TURN; round++) {
      const ready = this.core.ready();
      if (ready === undefined || this.stopped) return;
      this.carryOut(ready);
      // Works that write nothing are done already.
      this.takeWritten();
    }
  }

  private carryOut(ready: Ready): void {
    this.observer.ready();
    this.send(ready.messages);
    if (ready.append !== undefined) {
      if (ready.append.snapshot !== undefined) {
        this.membership.restore(ready.append.snapshot);
        this.membersChanged();
      }
      this.writer.add(ready.append);
      this.writer.start();
    } else {
      this.writer.start();
    }
    if (ready.apply !== undefined) this.apply(ready.apply.entries);
    for (const { context, index } of ready.readStates) this.reads.answered(context, index);
    this.updateLeadership();
    if (ready.softState !== undefined) {
      // After the listeners: a caller that hears of its lost proposal finds leadership gone, too.
      this.proposals.leadershipLost(this.core.role === 'leader' ? this.core.term : undefined);
    }
    this.reads.appliedTo(this.core.appliedIndex);
    this.compaction.whenDue();
  }

  private send(messages: readonly Message[]): void {
    if (messages.length === 0) return;
    this.observer.sent(messages);
    const orders = messages.filter(({ type }) => type === MessageType.Snapshot);
    if (orders.length === 0) {
      this.options.transport.send(messages);
      return;
    }
    this.options.transport.send(messages.filter(({ type }) => type !== MessageType.Snapshot));
    for (const order of orders) this.snapshots.order(order);
  }

  private apply(entries: readonly Entry[]): void {
    const results = this.state.apply(entries);
    let membersChanged = false;
    for (const [i, entry] of entries.entries()) {
      if (entry.kind === EntryKind.ConfChange) {
        this.applyConfChange(entry);
        membersChanged = true;
      }
      this.proposals.applied(entry.index, entry.term, results[i]);
    }
    this.core.applied(entries.at(-1)!.index);
    if (membersChanged) this.membersChanged();
  }

  private applyConfChange(entry: Entry): void {
    const refused = this.membership.apply(entry, (change) => this.core.applyConfChange(change));
    this.observer.confApplied();
    if (refused === undefined) return;
    this.logger.warn('a membership change has no effect', {
      index: entry.index,
      why: refused.message,
    });
  }

  private membersChanged(): void {
    this.peers.changed(this.ticks);
    const members = rolesOf(this.membership);
    for (const listener of [...this.membersListeners]) listener(members);
  }

  private updateLeadership(): void {
    const { core } = this;
    const leads = core.role === 'leader';
    const isLeader = leads && core.appliedIndex >= core.leadershipIndex;
    // Our own leadership is none to the outside until our state is the cluster's.
    const leader = leads && !isLeader ? undefined : this.leaderInfo();
    this.leadership.update({ leader, isLeader, term: core.term }, this.options.clock.now());
  }

  // --- Snapshots

  private snapshotMeta(index: Index): SnapshotMeta | undefined {
    const term = this.core.termAt(index);
    // The state may be ahead of what the core has applied; its membership is not known then.
    if (term === undefined || index > this.core.appliedIndex) return undefined;
    return this.membership.metaAt(index, term);
  }

  private async receiveSnapshot(
    message: Message,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    const { snapshot } = message;
    if (this.stopped) throw new RaftStoppedError();
    if (this.restoring) throw new SnapshotRefusedError('another one is being received');
    if (snapshot === undefined || message.term < this.core.term) {
      throw new SnapshotRefusedError('its sender no longer leads');
    }
    if (snapshot.index <= this.core.commitIndex) {
      throw new SnapshotRefusedError(`entry ${snapshot.index} is here already`);
    }
    this.restoring = true;
    this.core.beginRestore();
    try {
      if (snapshot.index > this.state.index) {
        await this.state.restore(snapshot, chunks, (error) => this.fail(error));
        this.logger.info('took over a snapshot', { index: snapshot.index });
      }
    } finally {
      this.restoring = false;
      this.core.endRestore(this.state.index);
    }
    this.receive(message);
  }
}
