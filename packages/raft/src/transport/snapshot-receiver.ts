import type { SnapshotMessage } from '../core/message.js';
import type { TransportEnvironment } from './environment.js';
import type { Hello } from './hello.js';
import type { IncomingSnapshot, SnapshotCarrier } from './incoming-snapshot.js';
import type { TransportLimits } from './limits.js';
import { Silence } from './silence.js';
import { readHeader, refusedFrame, SnapshotFrame } from './snapshot-frames.js';
import type { SnapshotIntake } from './snapshot-intake.js';
import { LineEnd, type SnapshotLine } from './snapshot-line.js';

/**
 * The receiver's end of one connection. Pieces go to the transfer that it carries. While the
 * transfer's queue is full, the receiver does not read the line, and the sender has to wait.
 */
export class SnapshotReceiver implements SnapshotCarrier {
  private readonly line: SnapshotLine;
  private readonly hello: Hello;
  private readonly intake: SnapshotIntake;
  private readonly limits: TransportLimits;
  private readonly environment: TransportEnvironment;
  private header: SnapshotMessage | undefined;
  private snapshot: IncomingSnapshot | undefined;
  private over = false;
  private readonly silence: Silence;
  private alive: unknown;

  /** @param line its hello was read and accepted */
  constructor(
    line: SnapshotLine,
    hello: Hello,
    intake: SnapshotIntake,
    limits: TransportLimits,
    environment: TransportEnvironment,
  ) {
    this.line = line;
    this.hello = hello;
    this.intake = intake;
    this.limits = limits;
    this.environment = environment;
    const { snapshotSilentMs } = limits;
    this.silence = new Silence(environment.clock, snapshotSilentMs, () => {
      const reason = `nothing came for ${snapshotSilentMs} ms`;
      this.close(LineEnd.Broken, reason);
      if (this.snapshot !== undefined) this.intake.broke(this.snapshot, this, reason);
    });
    line.listen({
      opened: () => {},
      frame: (bytes) => this.receive(bytes),
      closed: (end, reason) => this.closed(end, reason),
    });
    this.heard();
  }

  // --- Calls from the transfer

  taken(): void {
    this.answer(Uint8Array.of(SnapshotFrame.Taken));
    this.close(LineEnd.Over, 'the snapshot is taken');
  }

  refuse(reason: string): void {
    this.answer(refusedFrame(reason));
    this.close(LineEnd.Over, reason);
  }

  replaced(): void {
    this.close(LineEnd.Broken, 'a newer connection took its place');
  }

  hungry(): void {
    if (!this.line.isPaused || this.over) return;
    this.line.resume();
    this.heard();
  }

  // --- Calls from the connection

  private receive(frame: Uint8Array): void {
    if (this.over) return;
    this.heard();
    try {
      this.read(frame);
    } catch (error) {
      this.fail(error as Error);
    }
  }

  private read(frame: Uint8Array): void {
    const [kind] = frame;
    if (this.header === undefined) {
      if (kind !== SnapshotFrame.Header) throw new Error('the snapshot has no header');
      this.open(readHeader(frame, this.hello.from));
      return;
    }
    const { snapshot } = this;
    // What the sender sends again before it hears that the transfer is over.
    if (snapshot === undefined) return;
    if (kind === SnapshotFrame.Chunk) {
      snapshot.addChunk(frame);
      this.tellWhere(snapshot);
      if (snapshot.waiting >= this.limits.chunksWaiting) this.pause();
    } else if (kind === SnapshotFrame.End) {
      snapshot.addEnd(frame);
      this.silence.stop();
    } else throw new Error(`unknown frame kind ${kind}`);
  }

  private open(header: SnapshotMessage): void {
    const { from, to, transfer } = this.hello;
    this.header = header;
    if (header.to !== to) throw new Error('it is for another member');
    const snapshot = this.intake.open(this, from, header, transfer);
    if (snapshot === undefined) return;
    this.snapshot = snapshot;
    this.tellWhere(snapshot);
    // Not before: a sender that hears Alive before At assumes that this receiver never locates
    // itself.
    this.sayAlive();
    if (snapshot.waiting >= this.limits.chunksWaiting) this.pause();
  }

  /** Sent only to a sender that understands it. */
  private tellWhere(snapshot: IncomingSnapshot): void {
    if (this.hello.transfer !== undefined) this.answer(snapshot.atFrame());
  }

  /** Ends the transfer on impossible input: continuing would risk a gap. */
  private fail(error: Error): void {
    this.snapshot?.fail(error);
    this.refuse(error.message);
  }

  private closed(end: LineEnd, reason: string): void {
    this.stop();
    const { snapshot } = this;
    if (snapshot === undefined) return;
    if (end === LineEnd.Broken) this.intake.broke(snapshot, this, reason);
    else if (snapshot.detach(this)) snapshot.fail(new Error(reason));
  }

  private answer(frame: Uint8Array): void {
    if (this.over) return;
    this.line.send(frame).catch((error: Error) => {
      // `closed` reports that the connection is gone.
      this.environment.logger.debug({ error: error.message }, 'raft: no answer to a snapshot');
    });
  }

  private close(end: LineEnd, reason: string): void {
    if (this.over) return;
    this.stop();
    this.line.close(end, reason);
  }

  private pause(): void {
    if (this.over) return;
    this.line.pause();
    // From now on it is the state machine that takes time.
    this.silence.stop();
  }

  private heard(): void {
    const waits = this.over || this.line.isPaused || this.snapshot?.isComplete === true;
    if (waits) this.silence.stop();
    else this.silence.heard();
  }

  private sayAlive(): void {
    this.alive = this.environment.clock.setTimeout(() => {
      this.answer(Uint8Array.of(SnapshotFrame.Alive));
      this.sayAlive();
    }, this.limits.snapshotAliveMs);
  }

  private stop(): void {
    this.over = true;
    this.silence.stop();
    this.environment.clock.clearTimeout(this.alive);
  }
}
