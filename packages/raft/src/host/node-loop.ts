import { DEFAULT_CONFIG } from '../core/config.js';
import {
  type Message,
  MessageType,
  type SnapshotMessage,
  type SnapshotOrder,
} from '../core/message.js';
import { type AppendWork, RaftCore, type Ready } from '../core/raw-node.js';
import {
  type Entry,
  EntryKind,
  type Index,
  type MemberId,
  type MemberInfo,
  NOBODY,
  type SnapshotMeta,
  type Term,
} from '../core/types.js';
import { AppliedState } from './applied-state.js';
import { CommitNews } from './commit-news.js';
import { Compaction } from './compaction.js';
import { Conditions } from './conditions.js';
import { CutOff } from './cut-off.js';
import {
  NotLeaderError,
  QuorumLostError,
  RaftStoppedError,
  RaftTimeoutError,
  SnapshotRefusedError,
} from './errors.js';
import { Leadership } from './leadership.js';
import { LogWriter } from './log-writer.js';
import { MemberChanges } from './member-changes.js';
import type { Membership } from './membership.js';
import { Observer } from './observer.js';
import {
  DEFAULT_COMMIT_DELAY_MS,
  DEFAULT_LIMITS,
  type RaftLimits,
  type RaftLogger,
  type RaftNodeOptions,
  SILENT_LOGGER,
} from './options.js';
import { Peers } from './peers.js';
import { ProposalQueue } from './proposal-queue.js';
import { Proposals } from './proposals.js';
import { Reads } from './reads.js';
import type { Recovery } from './recovery.js';
import { SnapshotOrders } from './snapshot-orders.js';
import { type MembersListener, rolesOf } from './status.js';
import { Ticker } from './ticker.js';

/** Rounds of work in one turn of the event loop. What is left waits for the next turn. */
const MAX_ROUNDS_PER_TURN = 16;
/** Ticks without an answer after which a read-index question is repeated. */
const READ_RETRY_TICKS = 3;

/**
 * The loop of a node. Everything happens in turns, at most one per turn of the event loop: take in
 * finished writes, messages, a tick and proposals, then carry out what the core says until it has
 * no more. Messages leave before the write starts, so a leader's disk works while its followers'
 * do.
 *
 * raft-node.ts has what a node offers to its owner.
 */
export abstract class NodeLoop {
  protected readonly options: RaftNodeOptions;
  protected readonly limits: RaftLimits;
  private readonly logger: RaftLogger;
  protected readonly core: RaftCore;
  protected readonly observer: Observer;
  protected readonly membership: Membership;
  protected readonly writer: LogWriter;
  private readonly snapshots: SnapshotOrders;
  protected readonly changes: MemberChanges;
  protected readonly leadership: Leadership;
  protected readonly proposals = new Proposals();
  protected readonly reads: Reads;
  protected readonly conditions = new Conditions();
  protected readonly queue: ProposalQueue;
  protected readonly state: AppliedState;
  private readonly compaction: Compaction;
  private readonly peers: Peers;
  private readonly ticker: Ticker;
  private readonly commitNews: CommitNews;
  protected readonly membersListeners = new Set<MembersListener>();

  protected inbox: Message[] = [];
  private written: AppendWork[] = [];
  private tickDue = false;
  private scheduled = false;
  protected stopped = false;
  private closed: Promise<void> | undefined;
  private ticks = 0;
  /** The snapshot being installed, and its term. */
  private restoring: { readonly term: Term; readonly chunks: CutOff } | undefined;
  private replayed = false;

  protected constructor(options: RaftNodeOptions, { initial, membership }: Recovery) {
    this.options = options;
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.logger = options.logger ?? SILENT_LOGGER;
    const { clock, stateMachine, storage, transport, random } = options;
    const { limits, logger } = this;
    const commitDelayMs = options.commitDelayMs ?? DEFAULT_COMMIT_DELAY_MS;
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
        commitNews: commitDelayMs > 0 ? 'carried' : 'at-once',
        readMode: options.readMode ?? DEFAULT_CONFIG.readMode,
        maxClockDriftPpm: options.maxClockDriftPpm ?? DEFAULT_CONFIG.maxClockDriftPpm,
        promiseMs: Ticker.leastMs(this.electionTicks, this.tickMs),
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
    this.snapshots = new SnapshotOrders({
      stateMachine,
      transport,
      clock,
      logger,
      counters,
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
      proposed: (change) => this.observer.confProposed(change),
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
      initial.entries.filter(({ index }) => index <= initial.applied),
    );
    this.commitNews = new CommitNews(this.core, clock, commitDelayMs, () => this.wake());
    this.ticker = new Ticker(clock, this.tickMs, () => {
      this.tickDue = true;
      this.turn();
    });
  }

  protected get tickMs(): number {
    return this.options.tickMs ?? 100;
  }

  protected get electionTicks(): number {
    return this.options.electionTicks ?? DEFAULT_CONFIG.electionTicks;
  }

  protected start(): void {
    this.peers.reset();
    this.options.transport.start({
      receive: (message) => this.receive(message),
      unreachable: (id) => this.core.reportUnreachable(id),
      snapshotSent: (id, ok) => this.snapshots.finished(id, ok),
      snapshotMoved: (id, step) => this.snapshots.moved(id, step),
      receiveSnapshot: (message, chunks) => this.receiveSnapshot(message, chunks),
    });
    this.ticker.start();
    this.wake();
  }

  abstract transferLeadership(to?: MemberId): Promise<void>;

  protected leaderInfo(): MemberInfo | undefined {
    const { leader } = this.core;
    if (leader === NOBODY) return undefined;
    const known = this.membership.info(leader);
    return known ?? this.options.seeds?.find(({ id }) => id === leader);
  }

  /** Milliseconds since a leader was last known; 0 while one is known. */
  leaderlessMs(): number {
    return this.leadership.leaderlessMs(this.options.clock.now());
  }

  protected noLeadership(): Error {
    const leaderlessMs = this.leaderlessMs();
    if (leaderlessMs >= this.limits.quorumLostMs) return new QuorumLostError(leaderlessMs);
    return new NotLeaderError(this.leaderInfo());
  }

  // --- The end

  /**
   * Stops at once. Proposals under way fail with RaftStoppedError. Resolves when everything is
   * closed.
   */
  stop(): Promise<void> {
    this.closed ??= this.shutDown();
    return this.closed;
  }

  private async shutDown(): Promise<void> {
    const { clock, transport, storage } = this.options;
    this.stopped = true;
    this.ticker.stop();
    this.commitNews.stop();
    this.compaction.stop();
    this.inbox = [];
    // Listeners that depend on leadership must know before callers hear that their calls failed.
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

  /**
   * Stops after an error that leaves neither log nor state trustworthy. Never retried, never
   * ignored.
   */
  private fail(error: unknown): void {
    if (this.stopped) return;
    this.logger.error('raft member stops', { error: String(error) });
    this.stop().catch((closing: unknown) => {
      this.logger.error('closing failed', { error: String(closing) });
    });
    this.options.onFatal?.(error);
  }

  // --- The loop

  protected wake(): void {
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
      // A call between two turns may have moved the core.
      this.observer.moved();
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
      this.commitNews.tell();
      this.work();
      // A write that gave the core nothing to say may have ended, with others waiting for it.
      this.writer.start();
      if (!this.replayed) this.afterReplay();
      this.conditions.run(this.options.clock.now());
      this.commitNews.look();
      this.endOldSnapshots();
      if (this.core.hasReady) this.wake();
    } catch (error) {
      this.fail(error);
    }
  }

  private tick(): void {
    this.ticks++;
    this.writer.tick();
    // The event loop keeps sending heartbeats while a disk hangs: nobody could commit, and nobody
    // take over.
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

  /** Runs once everything committed before the start is applied, including the membership. */
  private afterReplay(): void {
    const { core } = this;
    if (core.appliedIndex < core.commitIndex) return;
    this.replayed = true;
    const { voters, votersOutgoing } = core.conf;
    const alone = voters.length === 1 && votersOutgoing.length === 0;
    // A lone member has nobody to wait for.
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
      const ready = this.core.ready(this.options.clock.now());
      if (ready === undefined || this.stopped) return;
      this.carryOut(ready);
      // Works that write nothing are already done.
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
    }
    this.writer.start();
    if (ready.apply !== undefined) this.apply(ready.apply.entries);
    for (const { context, index } of ready.readStates) this.reads.answered(context, index);
    this.updateLeadership();
    if (ready.softState !== undefined) {
      // After the listeners: a caller that hears of its lost proposal must see that leadership is
      // gone too.
      this.proposals.leadershipLost(this.core.role === 'leader' ? this.core.term : undefined);
    }
    this.reads.appliedTo(this.core.appliedIndex);
    this.compaction.whenDue();
  }

  private send(messages: readonly Message[]): void {
    if (messages.length === 0) return;
    this.observer.sent(messages);
    const orders = messages.filter(isSnapshotOrder);
    if (orders.length === 0) {
      this.options.transport.send(messages);
      return;
    }
    this.options.transport.send(messages.filter((message) => !isSnapshotOrder(message)));
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
    this.compaction.applied(entries);
    // The core may have more to do: leave a joint configuration, or campaign as it was asked to.
    this.observer.moved();
    if (membersChanged) this.membersChanged();
  }

  private applyConfChange(entry: Entry): void {
    const refused = this.membership.apply(entry, (change) => this.core.applyConfChange(change));
    this.observer.confApplied(entry.index);
    if (refused === undefined) return;
    this.logger.warn('a membership change has no effect', {
      index: entry.index,
      why: refused.message,
    });
  }

  private membersChanged(): void {
    this.peers.changed(this.ticks);
    this.snapshots.only(this.membership.current.members.map(({ id }) => id));
    const members = rolesOf(this.membership);
    for (const listener of [...this.membersListeners]) listener(members);
  }

  private updateLeadership(): void {
    const { core } = this;
    const leads = core.role === 'leader';
    const isLeader = leads && core.appliedIndex >= core.leadershipIndex;
    // We don't report ourselves as leader until we have applied our first entry.
    const leader = leads && !isLeader ? undefined : this.leaderInfo();
    this.leadership.update({ leader, isLeader, term: core.term }, this.options.clock.now());
  }

  // --- Snapshots

  protected snapshotMeta(index: Index): SnapshotMeta | undefined {
    const term = this.core.termAt(index);
    // The state may be ahead of what the core has applied; its membership is then not known.
    if (term === undefined || index > this.core.appliedIndex) return undefined;
    return this.membership.metaAt(index, term);
  }

  /** Ends transfers of an earlier term, both ways: their end could no longer count. */
  private endOldSnapshots(): void {
    const { core, restoring } = this;
    this.snapshots.leads(core.role === 'leader' ? core.term : undefined);
    if (restoring === undefined || restoring.term >= core.term) return;
    restoring.chunks.cut(new SnapshotRefusedError('its sender no longer leads'));
  }

  private async receiveSnapshot(
    message: SnapshotMessage,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    const { snapshot } = message;
    if (this.stopped) throw new RaftStoppedError();
    if (this.restoring !== undefined) {
      throw new SnapshotRefusedError('another one is being received');
    }
    if (message.term < this.core.term) {
      throw new SnapshotRefusedError('its sender no longer leads');
    }
    if (snapshot.index <= this.core.commitIndex) {
      // The leader does not know, or it would not have sent the snapshot: the core answers how far
      // we are. Otherwise a leader whose followers are all in this state would send it for ever.
      this.receive(message);
      throw new SnapshotRefusedError(`entry ${snapshot.index} is already here`);
    }
    const source = new CutOff(chunks);
    this.restoring = { term: message.term, chunks: source };
    this.core.beginRestore();
    try {
      if (snapshot.index > this.state.index) {
        await this.state.restore(snapshot, source, (error) => this.fail(error));
        this.logger.info('installed a snapshot', { index: snapshot.index });
      }
    } finally {
      this.restoring = undefined;
      this.core.endRestore(this.state.index);
    }
    this.receive(message);
  }
}

/** Selects messages that the transport sends its other way, as a snapshot. */
function isSnapshotOrder(message: Message): message is SnapshotOrder {
  return message.type === MessageType.Snapshot && message.snapshot === undefined;
}
