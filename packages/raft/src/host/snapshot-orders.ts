import type { SnapshotOrder } from '../core/message.js';
import type { Index, MemberId, SnapshotMeta, Term } from '../core/types.js';
import type { RaftCounters } from '../metrics.js';
import type { SnapshotStep, Transport } from '../transport/transport.js';
import type { Clock, TimerHandle } from './clock.js';
import type { RaftLogger } from './options.js';
import type { StateMachine, StateView } from './state-machine.js';

/** What the sender needs to know of the node. */
export interface SnapshotSource {
  readonly stateMachine: StateMachine;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly logger: RaftLogger;
  readonly counters: RaftCounters;
  /** Time since the receiver last got more of it. A large snapshot that moves is not given up. */
  readonly timeoutMs: number;
  readonly maxSent: number;
  /**
   * Describes a snapshot at this index. Undefined when the log does not know the index (any more).
   */
  meta(index: Index): SnapshotMeta | undefined;
  /** Takes a view while no other method of the state machine runs. */
  takeView(): Promise<StateView>;
  /** Reports the outcome to the core. Called once per order. */
  report(to: MemberId, ok: boolean): void;
  onError(error: unknown): void;
}

interface Sending {
  readonly view: StateView;
  /** The term of the order. The order of a deposed leader is void. */
  readonly term: Term;
  timer: TimerHandle;
}

/** Sends the state to members whose next entry is compacted. Owns every view it takes. */
export class SnapshotOrders {
  private readonly source: SnapshotSource;
  /** Undefined while the view is being taken. */
  private readonly sending = new Map<MemberId, Sending | undefined>();
  private closed = false;

  constructor(source: SnapshotSource) {
    this.source = source;
  }

  /** The lowest index that a snapshot under way still needs. */
  get oldestIndex(): Index {
    let oldest = Number.MAX_SAFE_INTEGER;
    for (const sending of this.sending.values()) {
      if (sending !== undefined) oldest = Math.min(oldest, sending.view.index);
    }
    return oldest;
  }

  /** Carries out the core's order: `message` names the member that needs a snapshot. */
  order(message: SnapshotOrder): void {
    const { source } = this;
    const { to } = message;
    if (this.sending.has(to)) return;
    if (this.closed || this.sending.size >= source.maxSent) {
      source.report(to, false);
      return;
    }
    this.sending.set(to, undefined);
    source.takeView().then(
      (view) => this.send(message, view),
      (error: unknown) => {
        this.sending.delete(to);
        source.onError(error);
      },
    );
  }

  private send({ type, from, to, term }: SnapshotOrder, view: StateView): void {
    const { source } = this;
    const meta = this.closed ? undefined : source.meta(view.index);
    if (meta === undefined) {
      this.sending.delete(to);
      this.release(view);
      source.report(to, false);
      return;
    }
    this.sending.set(to, { view, term, timer: this.patience(to) });
    source.logger.info('sending a snapshot', { to, index: view.index });
    source.transport.sendSnapshot({ type, from, to, term, snapshot: meta }, meta, view.chunks());
  }

  private patience(to: MemberId): TimerHandle {
    const { clock, timeoutMs } = this.source;
    return clock.setTimeout(() => this.giveUp(to, `nothing moved for ${timeoutMs} ms`), timeoutMs);
  }

  /** Takes the transport's report of progress. */
  moved(to: MemberId, step: SnapshotStep): void {
    const { counters, clock } = this.source;
    if (step.kind === 'sent') counters.snapshotBytesSent += step.bytes;
    else if (step.kind === 'resumed') counters.snapshotsResumed++;
    else {
      const sending = this.sending.get(to);
      if (sending === undefined) return;
      clock.clearTimeout(sending.timer);
      sending.timer = this.patience(to);
    }
  }

  /**
   * Ends transfers ordered in another term: their receiver follows another leader, and would hold
   * on to a transfer that can no longer count. @param term in which this member leads, else
   * undefined
   */
  leads(term: Term | undefined): void {
    for (const [to, sending] of this.sending) {
      if (sending !== undefined && sending.term !== term)
        this.giveUp(to, 'its sender no longer leads');
    }
  }

  /** Ends transfers to peers that are no longer members. */
  only(members: readonly MemberId[]): void {
    for (const [to, sending] of this.sending) {
      if (sending !== undefined && !members.includes(to)) this.giveUp(to, 'it was removed');
    }
  }

  private giveUp(to: MemberId, reason: string): void {
    this.source.transport.endSnapshot(to, reason);
    this.finished(to, false);
  }

  /** Takes the transport's report that it is done with a snapshot. */
  finished(to: MemberId, ok: boolean): void {
    const sending = this.sending.get(to);
    if (sending === undefined) return;
    this.sending.delete(to);
    this.source.clock.clearTimeout(sending.timer);
    this.release(sending.view);
    this.source.report(to, ok);
  }

  private release(view: StateView): void {
    view.release().catch(this.source.onError);
  }

  /** Releases every view, and refuses further orders. */
  async close(): Promise<void> {
    this.closed = true;
    const all = [...this.sending.values()];
    this.sending.clear();
    for (const sending of all) {
      if (sending === undefined) continue;
      this.source.clock.clearTimeout(sending.timer);
      await sending.view.release();
    }
  }
}
