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
  /** Since the receiver last had more of it; a large one that moves is not given up. */
  readonly timeoutMs: number;
  readonly maxSent: number;
  /** Describes a snapshot at this index; undefined when the log does not know that index (any more). */
  meta(index: Index): SnapshotMeta | undefined;
  /** Takes a view while no other method of the state machine runs. */
  takeView(): Promise<StateView>;
  /** Tells the core how it went; called once per order. */
  report(to: MemberId, ok: boolean): void;
  onError(error: unknown): void;
}

interface Sending {
  readonly view: StateView;
  /** In which it was ordered: the order of a leader that is deposed is void. */
  readonly term: Term;
  timer: TimerHandle;
}

/** Sends the state to members whose next entry is compacted. Each view has one owner: this. */
export class SnapshotOrders {
  private readonly source: SnapshotSource;
  /** Undefined value: the view is being taken. */
  private readonly sending = new Map<MemberId, Sending | undefined>();
  private closed = false;

  constructor(source: SnapshotSource) {
    this.source = source;
  }

  /** The log from here on is needed by who is getting a snapshot. */
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

  /** The transport tells how it goes. */
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
   * Ends what was ordered in another term: its receiver follows somebody else, and would hold on to
   * a transfer that can not count any more. @param term in which this member leads, else undefined
   */
  leads(term: Term | undefined): void {
    for (const [to, sending] of this.sending) {
      if (sending !== undefined && sending.term !== term)
        this.giveUp(to, 'its sender leads no more');
    }
  }

  /** Ends what is on its way to whoever is no member any more. */
  only(members: readonly MemberId[]): void {
    for (const [to, sending] of this.sending) {
      if (sending !== undefined && !members.includes(to)) this.giveUp(to, 'it was removed');
    }
  }

  private giveUp(to: MemberId, reason: string): void {
    this.source.transport.endSnapshot(to, reason);
    this.finished(to, false);
  }

  /** The transport is done with it. */
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

  /** Releases every view; orders are refused from now on. */
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
