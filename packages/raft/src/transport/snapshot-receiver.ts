import { WebSocket } from 'ws';
import type { Message } from '../core/message.js';
import type { MemberId } from '../core/types.js';
import { closeSocket, describeClose } from './channel.js';
import type { TransportEnvironment } from './environment.js';
import { CloseCode } from './hello.js';
import type { TransportLimits } from './limits.js';
import { readHeader, SnapshotFrame, SnapshotPosition } from './snapshot-frames.js';

/** Takes a snapshot over: `TransportHandler.receiveSnapshot`, once it may. */
export type TakeSnapshot = (message: Message, chunks: AsyncIterable<Uint8Array>) => Promise<void>;

const REASON_LIMIT_CHARS = 500;
/** RFC 6455 §7.4.1. */
const NORMAL_CLOSE = 1000;

/**
 * Receives one snapshot. Pieces wait in a short queue; while it is full the socket is not read, and
 * TCP makes the sender wait.
 */
export class SnapshotReceiver {
  readonly from: MemberId;
  private readonly socket: WebSocket;
  private readonly limits: TransportLimits;
  private readonly environment: TransportEnvironment;
  private readonly take: TakeSnapshot;
  private readonly position = new SnapshotPosition();
  private header: Message | undefined;
  private pieces: Uint8Array[] = [];
  private complete = false;
  private failure: Error | undefined;
  private wake: (() => void) | undefined;
  private silence: unknown;
  private alive: unknown;
  private finish!: () => void;
  /** Resolves when the state machine has nothing more to do with this snapshot. */
  readonly finished: Promise<void>;

  constructor(
    socket: WebSocket,
    from: MemberId,
    take: TakeSnapshot,
    limits: TransportLimits,
    environment: TransportEnvironment,
  ) {
    this.socket = socket;
    this.from = from;
    this.take = take;
    this.limits = limits;
    this.environment = environment;
    this.finished = new Promise((resolve) => {
      this.finish = resolve;
    });
    socket.on('message', (data, isBinary) => this.receive(data as Buffer, isBinary));
    socket.on('error', (error) => this.fail(error));
    socket.on('close', (code, reason) => this.fail(new Error(describeClose(code, reason))));
    this.heard();
    this.sayAlive();
  }

  /** The term of the snapshot's message; 0 before it is known. */
  get term(): number {
    return this.header?.term ?? 0;
  }

  /** Ends the transfer: the state machine sees an error instead of the next piece. */
  abort(reason: string): void {
    this.fail(new Error(reason));
  }

  private receive(frame: Buffer, isBinary: boolean): void {
    if (this.failure !== undefined) return;
    this.heard();
    try {
      if (!isBinary) throw new Error('a text frame');
      this.read(frame);
    } catch (error) {
      this.fail(error as Error);
    }
  }

  private read(frame: Buffer): void {
    const [kind] = frame;
    if (this.header === undefined) {
      if (kind !== SnapshotFrame.Header) throw new Error('the snapshot has no header');
      this.header = readHeader(frame, this.from);
      void this.handOver(this.header);
    } else if (this.complete) throw new Error('frames follow the end of the snapshot');
    else if (kind === SnapshotFrame.Chunk) {
      this.pieces.push(this.position.readChunk(frame));
      if (this.pieces.length >= this.limits.chunksWaiting) this.pause();
      this.wake?.();
    } else if (kind === SnapshotFrame.End) {
      this.position.readEnd(frame);
      this.complete = true;
      this.environment.clock.clearTimeout(this.silence);
      this.wake?.();
    } else throw new Error(`unknown frame kind ${kind}`);
  }

  private async handOver(header: Message): Promise<void> {
    try {
      await this.take(header, this.chunks());
      if (this.failure !== undefined) throw this.failure;
      if (!this.complete || this.pieces.length > 0) throw new Error('not all of it was read');
      this.answer(Uint8Array.of(SnapshotFrame.Taken));
      this.socket.close(NORMAL_CLOSE);
    } catch (error) {
      this.fail(error as Error);
    }
    this.stopTimers();
    this.finish();
  }

  private async *chunks(): AsyncGenerator<Uint8Array> {
    for (;;) {
      if (this.failure !== undefined) throw this.failure;
      const piece = this.pieces.shift();
      if (piece !== undefined) {
        if (this.pieces.length === 0) this.resume();
        yield piece;
      } else if (this.complete) return;
      else {
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
      }
    }
  }

  private fail(error: Error): void {
    if (this.failure !== undefined) return;
    this.failure = error;
    this.stopTimers();
    this.pieces = [];
    const reason = Buffer.from(error.message.slice(0, REASON_LIMIT_CHARS));
    this.answer(Buffer.concat([Uint8Array.of(SnapshotFrame.Refused), reason]));
    this.resume();
    closeSocket(this.socket, CloseCode.Gone, error.message);
    this.wake?.();
    if (this.header === undefined) this.finish();
  }

  private answer(frame: Uint8Array): void {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    this.socket.send(frame, { binary: true, compress: false }, () => {});
  }

  private pause(): void {
    this.socket.pause();
    // It is now the state machine that takes its time.
    this.environment.clock.clearTimeout(this.silence);
  }

  private resume(): void {
    if (!this.socket.isPaused) return;
    this.socket.resume();
    this.heard();
  }

  private heard(): void {
    const { clock } = this.environment;
    clock.clearTimeout(this.silence);
    if (this.failure !== undefined || this.socket.isPaused) return;
    this.silence = clock.setTimeout(() => {
      this.abort(`nothing came for ${this.limits.snapshotSilentMs} ms`);
    }, this.limits.snapshotSilentMs);
  }

  private sayAlive(): void {
    this.alive = this.environment.clock.setTimeout(() => {
      this.answer(Uint8Array.of(SnapshotFrame.Alive));
      this.sayAlive();
    }, this.limits.snapshotAliveMs);
  }

  private stopTimers(): void {
    this.environment.clock.clearTimeout(this.silence);
    this.environment.clock.clearTimeout(this.alive);
  }
}
