import { WebSocket } from 'ws';
import type { MemberId } from '../core/types.js';
import type { TransportEnvironment } from './environment.js';
import { CloseCode } from './hello.js';
import type { TransportLimits } from './limits.js';

/** RFC 6455 §7.4.1: the peer sent more than this side accepts. */
const MESSAGE_TOO_BIG = 1009;
/** A close frame holds 125 bytes, two of them for the code (RFC 6455 §5.5). */
const REASON_LIMIT_BYTES = 123;

export interface ChannelEvents {
  frame(bytes: Uint8Array): void;
  /** Called once. */
  closed(reason: string): void;
}

export interface ChannelOptions {
  readonly peer: MemberId;
  /** Whether this side sends pings. */
  readonly pings: boolean;
  readonly limits: TransportLimits;
  readonly environment: TransportEnvironment;
}

/**
 * One open connection that carries messages in both directions. Closes itself when it hears nothing
 * for too long.
 */
export class Channel {
  readonly peer: MemberId;
  private readonly socket: WebSocket;
  private readonly options: ChannelOptions;
  private readonly events: ChannelEvents;
  private heardMs: number;
  private checkedMs: number;
  private timer: unknown;
  private ended = false;

  constructor(socket: WebSocket, options: ChannelOptions, events: ChannelEvents) {
    this.socket = socket;
    this.peer = options.peer;
    this.options = options;
    this.events = events;
    this.heardMs = options.environment.clock.monotonicMs();
    this.checkedMs = this.heardMs;
    const heard = (): void => {
      this.heardMs = options.environment.clock.monotonicMs();
    };
    socket.on('message', (data, isBinary) => {
      heard();
      this.receive(data as Buffer, isBinary);
    });
    socket.on('ping', heard);
    socket.on('pong', heard);
    socket.on('error', (error) => this.end(error.message));
    socket.on('close', (code, reason) => this.end(describeClose(code, reason)));
    this.watch();
  }

  /** @returns false, and sends nothing, when the peer does not read what was already sent */
  send(frames: readonly Uint8Array[]): boolean {
    if (this.ended || this.socket.readyState !== WebSocket.OPEN) return false;
    for (const frame of frames) {
      if (this.congested) return false;
      // An error while sending ends the connection; `closed` reports that.
      this.socket.send(frame, { binary: true, compress: false }, () => {});
    }
    return true;
  }

  get congested(): boolean {
    return this.socket.bufferedAmount > this.options.limits.bufferedBytes;
  }

  /** Ends the connection with a reason. Calls `closed` at once. */
  close(code: CloseCode | typeof MESSAGE_TOO_BIG, reason: string): void {
    if (this.ended) return;
    closeSocket(this.socket, code, reason);
    this.end(reason);
  }

  private receive(data: Buffer, isBinary: boolean): void {
    if (this.ended) return;
    if (!isBinary) this.close(CloseCode.Malformed, 'a text frame');
    else if (data.length > this.options.limits.receiveBytes) {
      this.close(MESSAGE_TOO_BIG, `a frame of ${data.length} bytes`);
    } else this.events.frame(data);
  }

  private watch(): void {
    const { environment, limits, pings } = this.options;
    this.timer = environment.clock.setTimeout(() => {
      const nowMs = environment.clock.monotonicMs();
      // After a stall of this process, what arrived meanwhile is still unread.
      const stalled = nowMs - this.checkedMs > 2 * limits.pingMs;
      this.checkedMs = nowMs;
      if (!stalled && nowMs - this.heardMs > limits.silentMs) {
        this.socket.terminate();
        this.end(`nothing was heard for ${limits.silentMs} ms`);
        return;
      }
      if (pings && this.socket.readyState === WebSocket.OPEN) this.socket.ping(() => {});
      this.watch();
    }, limits.pingMs);
  }

  private end(reason: string): void {
    if (this.ended) return;
    this.ended = true;
    this.options.environment.clock.clearTimeout(this.timer);
    this.events.closed(reason);
  }
}

/** Closes with as much of the reason as fits. */
export function closeSocket(socket: WebSocket, code: number, reason: string): void {
  // A socket that is closed while connecting reports an error.
  if (socket.listenerCount('error') === 0) socket.on('error', () => {});
  if (socket.readyState === WebSocket.CONNECTING) socket.terminate();
  else socket.close(code, fitting(reason));
}

/** Cuts the reason to what a close frame has room for, without breaking a character. */
function fitting(reason: string): string {
  const bytes = Buffer.from(reason);
  if (bytes.length <= REASON_LIMIT_BYTES) return reason;
  let end = REASON_LIMIT_BYTES;
  // 10xxxxxx continues a character that began before (RFC 3629 §3).
  while ((bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}

export function describeClose(code: number, reason: Buffer): string {
  return reason.length > 0 ? `${reason.toString()} (${code})` : `closed with code ${code}`;
}
