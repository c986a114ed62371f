import type { SnapshotMessage } from '../core/message.js';
import type { MemberId } from '../core/types.js';
import type { TransferHello } from './hello.js';
import { SnapshotPosition } from './snapshot-frames.js';

/** A connection that carries an incoming transfer, as the transfer sees it. */
export interface SnapshotCarrier {
  /** The state machine has the snapshot. */
  taken(): void;
  refuse(reason: string): void;
  /** Another connection of the same transfer took its place. */
  replaced(): void;
  /** The queue is empty: read more. */
  hungry(): void;
}

/**
 * The outcome of a transfer: why it failed, or undefined when the state machine has the snapshot.
 */
export type TransferOutcome = { readonly failure: string | undefined };

/**
 * The receiver's side of a transfer. Pieces arrive over one connection after another and wait in a
 * short queue, from which the state machine takes them.
 *
 * Invariant: what the state machine took, then the queue, is the state from its start up to
 * `position`, whatever happened to connections.
 */
export class IncomingSnapshot {
  readonly from: MemberId;
  readonly message: SnapshotMessage;
  /** Undefined when the sender cannot resume after a break. */
  readonly transfer: TransferHello | undefined;
  private readonly position = new SnapshotPosition();
  private pieces: Uint8Array[] = [];
  private complete = false;
  private failure: Error | undefined;
  private ended = false;
  private carrier: SnapshotCarrier | undefined;
  private connection = 0;
  private wake: (() => void) | undefined;
  private end!: () => void;
  /** Resolves when the state machine is done with this snapshot. */
  readonly finished: Promise<void>;

  constructor(from: MemberId, message: SnapshotMessage, transfer: TransferHello | undefined) {
    this.from = from;
    this.message = message;
    this.transfer = transfer;
    this.finished = new Promise((resolve) => {
      this.end = resolve;
    });
  }

  /** Reports whether a connection is for this transfer. */
  is(from: MemberId, message: SnapshotMessage, transfer: TransferHello | undefined): boolean {
    return (
      this.transfer !== undefined &&
      this.transfer.number === transfer?.number &&
      this.from === from &&
      this.message.term === message.term &&
      this.message.snapshot.index === message.snapshot.index
    );
  }

  /** True while it waits for a connection. A complete transfer waits for the state machine only. */
  get isInterrupted(): boolean {
    return this.carrier === undefined && !this.complete && !this.isOver;
  }

  get isOver(): boolean {
    return this.ended || this.failure !== undefined;
  }

  /** @throws what to tell the sender when this connection must not carry the transfer */
  attach(carrier: SnapshotCarrier, connection: number): void {
    if (this.failure !== undefined) throw this.failure;
    if (connection <= this.connection) throw new Error('a newer connection carries this snapshot');
    this.connection = connection;
    this.carrier?.replaced();
    this.carrier = carrier;
  }

  /** @returns whether this connection carried it */
  detach(carrier: SnapshotCarrier): boolean {
    if (this.carrier !== carrier) return false;
    this.carrier = undefined;
    return true;
  }

  /** Tells the sender where to continue. */
  atFrame(): Uint8Array {
    return this.position.atFrame();
  }

  /** @throws MessageFormatError when it is not the next one */
  addChunk(frame: Uint8Array): void {
    if (this.complete) throw new Error('frames follow the end of the snapshot');
    this.pieces.push(this.position.readChunk(frame));
    this.wake?.();
  }

  /** The sender repeats this after a break. @throws MessageFormatError when something is missing */
  addEnd(frame: Uint8Array): void {
    this.position.readEnd(frame);
    this.complete = true;
    this.wake?.();
  }

  /** Number of pieces that the state machine has not taken. */
  get waiting(): number {
    return this.pieces.length;
  }

  get isComplete(): boolean {
    return this.complete;
  }

  /** Gives the state machine an error instead of the next piece. */
  fail(error: Error): void {
    if (this.isOver) return;
    this.failure = error;
    this.pieces = [];
    this.carrier?.refuse(error.message);
    this.wake?.();
  }

  /** The pieces, for the state machine. @throws why the rest does not come */
  async *chunks(): AsyncGenerator<Uint8Array> {
    for (;;) {
      if (this.failure !== undefined) throw this.failure;
      const piece = this.pieces.shift();
      if (piece !== undefined) {
        if (this.pieces.length === 0) this.carrier?.hungry();
        yield piece;
      } else if (this.complete) return;
      else {
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
      }
    }
  }

  /**
   * Notes that the state machine is done with it. @returns what to tell the sender, now and later
   */
  finish(): TransferOutcome {
    const left = !this.complete || this.pieces.length > 0;
    if (left) this.fail(new Error('not all of it was read'));
    this.ended = true;
    if (this.failure === undefined) this.carrier?.taken();
    this.end();
    return { failure: this.failure?.message };
  }
}
