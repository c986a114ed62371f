import { WebSocket } from 'ws';
import type { Message } from '../core/message.js';
import type { SnapshotMeta } from '../core/types.js';
import { closeSocket, describeClose } from './channel.js';
import type { TransportEnvironment } from './environment.js';
import { CloseCode, encodeHello, type Hello } from './hello.js';
import type { TransportLimits } from './limits.js';
import { headerFrame, SnapshotFrame, SnapshotPosition } from './snapshot-frames.js';

export interface OutgoingSnapshot {
  readonly message: Message;
  readonly meta: SnapshotMeta;
  readonly chunks: AsyncIterable<Uint8Array>;
}

/**
 * Streams one snapshot over a connection of its own. One piece is under way at a time: the next is
 * read when the socket has taken the last, so memory does not grow with a slow receiver.
 */
export class SnapshotSender {
  private readonly socket: WebSocket;
  private readonly limits: TransportLimits;
  private readonly environment: TransportEnvironment;
  private timer: unknown;
  private sentAll = false;
  private taken = false;
  private failure: Error | undefined;
  /** Ends what is being waited for. */
  private interrupt: (() => void) | undefined;

  /** @param socket being connected to the receiver's snapshot path. */
  constructor(socket: WebSocket, limits: TransportLimits, environment: TransportEnvironment) {
    this.socket = socket;
    this.limits = limits;
    this.environment = environment;
    socket.on('error', (error) => this.fail(error));
    socket.on('close', (code, reason) => this.fail(new Error(describeClose(code, reason))));
    socket.on('message', (data) => this.receive(data as Buffer));
    this.moved();
  }

  /** Resolves when the receiver's state machine has the snapshot. @throws why it has not. */
  async run(hello: Hello, { message, meta, chunks }: OutgoingSnapshot): Promise<void> {
    const iterator = chunks[Symbol.asyncIterator]();
    try {
      if (this.socket.readyState === WebSocket.CONNECTING) {
        await this.unlessFailed(new Promise<void>((resolve) => this.socket.once('open', resolve)));
      }
      await this.send(encodeHello(hello));
      await this.send(headerFrame(message, meta));
      await this.sendAll(iterator);
      if (!this.taken) await this.unlessFailed(new Promise<never>(() => {}));
    } finally {
      this.environment.clock.clearTimeout(this.timer);
      // Not awaited: a source that hangs in a read would hang here too.
      iterator.return?.()?.catch?.((error: Error) => {
        this.environment.logger.debug({ error: error.message }, 'raft: snapshot source failed');
      });
      closeSocket(this.socket, CloseCode.Gone, 'the snapshot is done with');
    }
  }

  /** Ends the transfer; `run` rejects. */
  abort(reason: string): void {
    this.fail(new Error(reason));
  }

  private async sendAll(iterator: AsyncIterator<Uint8Array>): Promise<void> {
    const position = new SnapshotPosition();
    for (;;) {
      const next = await this.unlessFailed(iterator.next());
      if (next.done === true) break;
      for (let start = 0; start < next.value.length; start += this.limits.chunkBytes) {
        const piece = next.value.subarray(start, start + this.limits.chunkBytes);
        await this.send(position.chunkFrame(piece));
      }
    }
    this.sentAll = true;
    await this.send(position.endFrame());
  }

  private async send(frame: Uint8Array): Promise<void> {
    await this.unlessFailed(
      new Promise<void>((resolve, reject) => {
        const done = (error?: Error | null): void => (error ? reject(error) : resolve());
        this.socket.send(frame, { binary: true, compress: false }, done);
      }),
    );
    this.moved();
  }

  /**
   * Waits for a step, a failure or the end. One hook instead of a race with a promise that lives as
   * long as the transfer, which would collect a reaction for each piece.
   */
  private async unlessFailed<T>(step: Promise<T>): Promise<T> {
    return await new Promise<T>((resolve, reject) => {
      this.interrupt = () =>
        this.failure === undefined ? resolve(undefined as T) : reject(this.failure);
      if (this.failure !== undefined) this.interrupt();
      step.then(resolve, reject);
    });
  }

  private receive(frame: Buffer): void {
    this.moved();
    const [kind] = frame;
    if (kind === SnapshotFrame.Taken) {
      this.taken = this.sentAll;
      if (this.taken) this.interrupt?.();
      else this.abort('the receiver took a snapshot that was not sent');
    } else if (kind === SnapshotFrame.Refused) {
      this.abort(`the receiver refused: ${frame.subarray(1).toString()}`);
    } else if (kind !== SnapshotFrame.Alive) this.abort('the receiver sent an unknown frame');
  }

  private fail(error: Error): void {
    if (this.failure !== undefined || this.taken) return;
    this.failure = error;
    this.interrupt?.();
  }

  private moved(): void {
    const { clock } = this.environment;
    clock.clearTimeout(this.timer);
    this.timer = clock.setTimeout(() => {
      this.abort(`nothing moved for ${this.limits.snapshotSilentMs} ms`);
    }, this.limits.snapshotSilentMs);
  }
}
