import type { SnapshotMessage } from '../core/message.js';
import type { MemberId } from '../core/types.js';
import type { TransportClock, TransportLogger } from './environment.js';
import type { TransferHello } from './hello.js';
import {
  IncomingSnapshot,
  type SnapshotCarrier,
  type TransferOutcome,
} from './incoming-snapshot.js';

/** Passes a snapshot on to `TransportHandler.receiveSnapshot`, once it may. */
export type TakeSnapshot = (
  message: SnapshotMessage,
  chunks: AsyncIterable<Uint8Array>,
) => Promise<void>;

export interface SnapshotIntakeOptions {
  readonly take: TakeSnapshot;
  /** How long an interrupted transfer waits for its next connection. */
  readonly keepMs: number;
  readonly clock: Pick<TransportClock, 'setTimeout' | 'clearTimeout'>;
  readonly logger: TransportLogger;
  /** Reports that an interrupted transfer ended without resuming. */
  readonly gaveUp?: () => void;
}

/**
 * Chooses which snapshot to receive: one at a time, because the state machine has only one state. A
 * newer one replaces an older one. A transfer whose connection broke is kept for a while, its state
 * machine waiting for the next piece, until another connection of the same transfer resumes it.
 */
export class SnapshotIntake {
  private readonly options: SnapshotIntakeOptions;
  private current: IncomingSnapshot | undefined;
  /**
   * The answer to the last transfer may have been lost, and the snapshot must not be installed
   * twice.
   */
  private last:
    | { readonly snapshot: IncomingSnapshot; readonly outcome: TransferOutcome }
    | undefined;
  private patience: unknown;
  private closed: string | undefined;

  constructor(options: SnapshotIntakeOptions) {
    this.options = options;
  }

  /**
   * Handles a connection that has announced its snapshot.
   * @returns the transfer that it carries from now on; undefined when that is over and answered
   * @throws why it is refused
   */
  open(
    carrier: SnapshotCarrier,
    from: MemberId,
    message: SnapshotMessage,
    transfer: TransferHello | undefined,
  ): IncomingSnapshot | undefined {
    if (this.closed !== undefined) throw new Error(this.closed);
    const { current, last } = this;
    const connection = transfer?.connection ?? 1;
    if (current?.is(from, message, transfer) === true) {
      current.attach(carrier, connection);
      this.stopPatience();
      return current;
    }
    if (last?.snapshot.is(from, message, transfer) === true) {
      const { failure } = last.outcome;
      if (failure !== undefined) throw new Error(failure);
      carrier.taken();
      return undefined;
    }
    if ((transfer?.held ?? 0) > 0) throw new Error('the beginning of this snapshot is not here');
    if (current !== undefined) {
      if (!supersedes(current, from, message, transfer)) {
        throw new Error('another snapshot is being received');
      }
      this.end(current, 'a newer snapshot came');
    }
    const snapshot = new IncomingSnapshot(from, message, transfer);
    snapshot.attach(carrier, connection);
    this.current = snapshot;
    void this.receive(snapshot, current);
    return snapshot;
  }

  /** Handles a break of the connection that carried it. */
  broke(snapshot: IncomingSnapshot, carrier: SnapshotCarrier, reason: string): void {
    if (!snapshot.detach(carrier)) return;
    if (snapshot.transfer === undefined) {
      snapshot.fail(new Error(reason));
      return;
    }
    if (!snapshot.isInterrupted || snapshot !== this.current) return;
    const { clock, keepMs, logger } = this.options;
    logger.debug({ member: snapshot.from, reason }, 'raft: keeps a snapshot that was interrupted');
    this.stopPatience();
    this.patience = clock.setTimeout(() => {
      this.end(snapshot, `interrupted for ${keepMs} ms: ${reason}`);
    }, keepMs);
  }

  /** Ends the snapshot from this member: what it sent no longer counts. */
  endFrom(from: MemberId, reason: string): void {
    if (this.current?.from === from) this.end(this.current, reason);
  }

  /** Refuses everything from now on. */
  close(reason: string): void {
    this.closed = reason;
    if (this.current !== undefined) this.end(this.current, reason);
  }

  private end(snapshot: IncomingSnapshot, reason: string): void {
    this.stopPatience();
    if (snapshot.isInterrupted) this.options.gaveUp?.();
    snapshot.fail(new Error(reason));
  }

  private async receive(
    snapshot: IncomingSnapshot,
    before: IncomingSnapshot | undefined,
  ): Promise<void> {
    const { message } = snapshot;
    try {
      if (before !== undefined) await before.finished;
      if (!snapshot.isOver) await this.options.take(message, snapshot.chunks());
    } catch (error) {
      // The state machine refused it, or passes on why the pieces ended.
      if (snapshot.isInterrupted) this.options.gaveUp?.();
      snapshot.fail(error as Error);
    }
    const outcome = snapshot.finish();
    this.last = { snapshot, outcome };
    if (this.current !== snapshot) return;
    this.current = undefined;
    this.stopPatience();
  }

  private stopPatience(): void {
    this.options.clock.clearTimeout(this.patience);
    this.patience = undefined;
  }
}

/** Reports whether another snapshot replaces `current`. */
function supersedes(
  current: IncomingSnapshot,
  from: MemberId,
  message: SnapshotMessage,
  transfer: TransferHello | undefined,
): boolean {
  if (message.term !== current.message.term) {
    return message.term > current.message.term;
  }
  // One of the two senders does not lead: the transfer without a connection gives way.
  if (from !== current.from) return current.isInterrupted;
  // An earlier snapshot may arrive later, over a connection of its own.
  return (transfer?.number ?? 0) >= (current.transfer?.number ?? 0);
}
