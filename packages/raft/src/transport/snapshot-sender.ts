import type { SnapshotMessage } from '../core/message.js';
import type { SnapshotMeta } from '../core/types.js';
import { backOffMs } from './back-off.js';
import type { TransportEnvironment } from './environment.js';
import { encodeHello, type Hello } from './hello.js';
import type { TransportLimits } from './limits.js';
import { PieceReader } from './piece-reader.js';
import { SendWindow } from './send-window.js';
import { Silence } from './silence.js';
import { headerFrame, readAt, reasonIn, SnapshotFrame } from './snapshot-frames.js';
import { LineEnd, type SnapshotLine } from './snapshot-line.js';
import type { SnapshotStep } from './transport.js';

export interface OutgoingSnapshot {
  readonly message: SnapshotMessage;
  readonly meta: SnapshotMeta;
  readonly chunks: AsyncIterable<Uint8Array>;
}

export interface SnapshotSenderOptions {
  /** Begins a connection to the receiver. */
  readonly dial: () => SnapshotLine;
  readonly hello: Hello;
  /** Higher than the number of every earlier transfer of this sender. */
  readonly number: number;
  readonly limits: TransportLimits;
  readonly environment: TransportEnvironment;
  readonly step: (step: SnapshotStep) => void;
}

/** The connection is gone; another may resume the transfer. */
class LineBrokenError extends Error {}

/**
 * Streams one snapshot over a connection of its own, or over several: when one breaks, the next
 * continues where the receiver is. One piece at a time is on its way into the socket, and a window
 * of them on its way to the receiver, so a slow receiver does not make memory grow.
 *
 * A receiver that cannot resume never says where it is: its first frame is Alive. The snapshot then
 * goes without a window, and a break ends it.
 */
export class SnapshotSender {
  private readonly options: SnapshotSenderOptions;
  private readonly window: SendWindow;
  private line: SnapshotLine | undefined;
  private connections = 0;
  /** Since the receiver last made progress. */
  private breaks = 0;
  private opened = false;
  private everOpened = false;
  /** Whether the receiver has said, over this connection, where it is. */
  private located = false;
  /** Whether it ever does; undefined while that is unknown. */
  private locates: boolean | undefined;
  /** The end was sent, over this connection or an earlier one. */
  private sentAll = false;
  private taken = false;
  private broken: string | undefined;
  private failure: Error | undefined;
  private readonly silence: Silence;
  private patience: unknown;
  /** Checks again the condition being awaited. */
  private wake: (() => void) | undefined;

  constructor(options: SnapshotSenderOptions) {
    const { chunkBytes, snapshotWindowBytes, snapshotSilentMs } = options.limits;
    this.options = options;
    this.window = new SendWindow(chunkBytes, snapshotWindowBytes);
    this.silence = new Silence(options.environment.clock, snapshotSilentMs, () => {
      const reason = `nothing moved for ${snapshotSilentMs} ms`;
      this.drop(LineEnd.Broken, reason);
      this.lineBroke(reason);
    });
  }

  /** Resolves when the receiver's state machine has the snapshot. @throws why it does not */
  async run({ message, meta, chunks }: OutgoingSnapshot): Promise<void> {
    const { logger } = this.options.environment;
    const pieces = new PieceReader(chunks, this.options.limits.chunkBytes);
    const header = headerFrame(message, meta);
    try {
      while (!(await this.overOneLine(header, pieces))) await this.pauseAfterBreak();
    } finally {
      this.silence.stop();
      this.stopPatience();
      pieces.stop((error) => {
        logger.debug({ error: error.message }, 'raft: snapshot source failed');
      });
      this.drop(LineEnd.Over, this.failure?.message ?? 'the snapshot is done with');
    }
  }

  /** Ends the transfer; `run` rejects. */
  abort(reason: string): void {
    if (this.failure !== undefined || this.taken) return;
    this.failure = new Error(reason);
    this.wake?.();
  }

  /** @returns false when the connection broke and another may resume */
  private async overOneLine(header: Uint8Array, pieces: PieceReader): Promise<boolean> {
    try {
      this.connect();
      await this.until(() => this.opened);
      await this.send(encodeHello(this.hello()));
      await this.send(header);
      // Only the receiver knows how much of what was sent before has arrived.
      if (this.connections > 1) await this.until(() => this.located || this.locates === false);
      await this.sendAll(pieces);
      await this.until(() => this.taken);
      return true;
    } catch (error) {
      if (this.taken) return true;
      const mends = error instanceof LineBrokenError && this.everOpened && this.locates !== false;
      if (mends && this.failure === undefined) {
        this.drop(LineEnd.Broken, error.message);
        return false;
      }
      this.failure ??= error as Error;
      throw this.failure;
    }
  }

  private hello(): Hello {
    const { hello, number } = this.options;
    const { connections: connection, window } = this;
    return { ...hello, transfer: { number, connection, held: window.acknowledged } };
  }

  private connect(): void {
    this.connections++;
    this.opened = false;
    this.located = false;
    this.broken = undefined;
    let line: SnapshotLine;
    try {
      line = this.options.dial();
    } catch (error) {
      throw new LineBrokenError((error as Error).message);
    }
    this.line = line;
    line.listen({
      opened: () => {
        if (this.line !== line) return;
        this.opened = true;
        this.everOpened = true;
        this.silence.heard();
        this.wake?.();
      },
      frame: (bytes) => {
        if (this.line === line && this.failure === undefined) this.receive(bytes);
      },
      closed: (end, reason) => {
        if (this.line !== line) return;
        this.line = undefined;
        if (end === LineEnd.Over) this.abort(reason);
        else this.lineBroke(reason);
      },
    });
    this.silence.heard();
  }

  private async sendAll(pieces: PieceReader): Promise<void> {
    const { window } = this;
    for (;;) {
      await this.until(() => !window.isFull);
      if (!window.isSent) {
        await this.sendPiece(window.take());
        continue;
      }
      await this.step(pieces.ready());
      const piece = pieces.take();
      if (piece === undefined) break;
      window.add(piece);
    }
    this.sentAll = true;
    await this.send(window.endFrame);
  }

  private async sendPiece(frame: Uint8Array): Promise<void> {
    this.options.step({ kind: 'sent', bytes: frame.length });
    await this.send(frame);
    // A receiver without acknowledgements has, as far as we can know, what the socket accepted.
    if (this.locates === false) this.options.step({ kind: 'arrived' });
  }

  private async send(frame: Uint8Array): Promise<void> {
    const { line } = this;
    if (line === undefined) throw new LineBrokenError(this.broken);
    await this.step(
      line.send(frame).catch((error: Error) => {
        throw new LineBrokenError(error.message);
      }),
    );
    this.silence.heard();
  }

  private receive(frame: Uint8Array): void {
    this.silence.heard();
    try {
      this.read(frame);
    } catch (error) {
      this.abort((error as Error).message);
    }
    this.wake?.();
  }

  private read(frame: Uint8Array): void {
    const [kind] = frame;
    if (kind === SnapshotFrame.At) this.locate(...readAt(frame));
    else if (kind === SnapshotFrame.Taken) {
      // It may have come over an earlier connection, and only its answer was lost.
      if (!this.sentAll) throw new Error('the receiver took a snapshot that was not sent');
      this.taken = true;
    } else if (kind === SnapshotFrame.Refused) {
      throw new Error(`the receiver refused: ${reasonIn(frame)}`);
    } else if (kind !== SnapshotFrame.Alive) throw new Error('the receiver sent an unknown frame');
    else if (!this.located) this.doesNotLocate();
  }

  private locate(offset: number, crc: number): void {
    const { window, options } = this;
    const first = !this.located;
    this.located = true;
    this.locates = true;
    const resumes = first && this.connections > 1;
    const moved = resumes ? window.resume(offset, crc) : window.acknowledge(offset, crc);
    if (first) this.stopPatience();
    if (resumes && offset > 0) options.step({ kind: 'resumed' });
    if (!moved) return;
    this.breaks = 0;
    options.step({ kind: 'arrived' });
  }

  /** Handles Alive from a receiver that has not said where it is. */
  private doesNotLocate(): void {
    const { window } = this;
    if (this.locates === false) return;
    if (this.locates === true || window.acknowledged > 0) {
      throw new Error('the receiver cannot resume a broken snapshot');
    }
    this.locates = false;
    this.stopPatience();
    if (this.connections > 1) window.resume(0, 0);
    window.keepNothing();
  }

  private async pauseAfterBreak(): Promise<void> {
    const { limits, environment } = this.options;
    const { clock } = environment;
    this.window.broke();
    this.breaks++;
    environment.logger.debug(
      { member: this.options.hello.to, at: this.window.acknowledged, reason: this.broken },
      'raft: the connection of a snapshot broke',
    );
    if (this.breaks > limits.snapshotBreaks) {
      throw new Error(`${this.breaks} connections broke, the last: ${this.broken}`);
    }
    this.silence.stop();
    this.patience ??= clock.setTimeout(() => {
      this.abort(`no connection for ${limits.snapshotKeepMs} ms, the last: ${this.broken}`);
    }, limits.snapshotKeepMs);
    let over = false;
    const waitMs = backOffMs(this.breaks - 1, limits, environment.random);
    const timer = clock.setTimeout(() => {
      over = true;
      this.wake?.();
    }, waitMs);
    this.broken = undefined;
    try {
      await this.until(() => over);
    } finally {
      clock.clearTimeout(timer);
    }
  }

  /**
   * Waits until an event makes a condition true. @throws when the transfer or its connection ends
   */
  private async until(holds: () => boolean): Promise<void> {
    for (;;) {
      this.checkGoing();
      if (holds()) return;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  /**
   * Waits for a step, a failure or the end. Uses one hook: racing against a promise that lives as
   * long as the transfer would collect a reaction for each piece.
   */
  private async step<T>(step: Promise<T>): Promise<T> {
    return await new Promise<T>((resolve, reject) => {
      this.wake = () => {
        try {
          this.checkGoing();
        } catch (error) {
          reject(error as Error);
        }
      };
      this.wake();
      step.then(resolve, reject);
    });
  }

  private checkGoing(): void {
    if (this.failure !== undefined) throw this.failure;
    // Its answer may come while we still resend what it already has.
    if (this.taken) throw new LineBrokenError('the receiver has it all');
    if (this.broken !== undefined) throw new LineBrokenError(this.broken);
  }

  private stopPatience(): void {
    this.options.environment.clock.clearTimeout(this.patience);
    this.patience = undefined;
  }

  private lineBroke(reason: string): void {
    this.broken ??= reason;
    this.wake?.();
  }

  /** Ignores the current connection from now on. */
  private drop(end: LineEnd, reason: string): void {
    const { line } = this;
    this.line = undefined;
    line?.close(end, reason);
  }
}
