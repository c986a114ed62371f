import type { WebSocket } from 'ws';
import type { Message } from '../core/message.js';
import type { MemberInfo } from '../core/types.js';
import { backOffMs } from './back-off.js';
import { Channel, closeSocket, describeClose } from './channel.js';
import type { TransportEnvironment } from './environment.js';
import { CloseCode, encodeHello, type Hello, RAFT_PATH } from './hello.js';
import type { TransportLimits } from './limits.js';
import { Outbox } from './outbox.js';

/** Begins a connection to a member's transport. The path tells messages from snapshots. */
export type Connect = (member: MemberInfo, path: string) => WebSocket;

export interface PeerOptions {
  readonly member: MemberInfo;
  readonly hello: Hello;
  readonly connect: Connect;
  readonly limits: TransportLimits;
  readonly environment: TransportEnvironment;
}

export interface PeerEvents {
  frame(bytes: Uint8Array, channel: Channel): void;
  /** Reports that messages were dropped, or the connection broke. */
  unreachable(): void;
}

/**
 * A known member. Keeps one connection to it and always makes a new one when it breaks. Messages
 * wait while a connection is being made, and are dropped without a connection.
 */
export class Peer {
  readonly member: MemberInfo;
  private readonly options: PeerOptions;
  private readonly events: PeerEvents;
  private readonly outbox = new Outbox();
  private connecting: WebSocket | undefined;
  private channel: Channel | undefined;
  /** For the connection attempt, or for the wait before the next. */
  private timer: unknown;
  /** Connections in a row that did not last. */
  private failures = 0;
  private openedMs = 0;
  private ended = false;

  constructor(options: PeerOptions, events: PeerEvents) {
    this.options = options;
    this.member = options.member;
    this.events = events;
    this.connect();
  }

  get isConnected(): boolean {
    return this.channel !== undefined;
  }

  send(message: Message): void {
    this.outbox.push(message);
  }

  /** Sends the messages of this turn. */
  flush(): void {
    if (this.outbox.isEmpty || this.ended) return;
    const { limits } = this.options;
    if (this.channel === undefined) {
      if (this.connecting === undefined || this.outbox.bytes > limits.pendingBytes) this.drop();
    } else if (this.channel.congested || !this.channel.send(this.outbox.take(limits.frameBytes))) {
      this.drop();
    }
  }

  /** Reconnects at once: the member showed that it is there. */
  hurry(): void {
    if (this.ended || this.channel !== undefined || this.connecting !== undefined) return;
    this.failures = 0;
    this.options.environment.clock.clearTimeout(this.timer);
    this.connect();
  }

  close(): void {
    if (this.ended) return;
    this.flush();
    this.ended = true;
    this.options.environment.clock.clearTimeout(this.timer);
    this.outbox.clear();
    if (this.connecting !== undefined) closeSocket(this.connecting, CloseCode.Gone, '');
    this.channel?.close(CloseCode.Gone, 'no longer a peer');
  }

  private connect(): void {
    const { environment, limits, hello, member } = this.options;
    let socket: WebSocket;
    try {
      socket = this.options.connect(member, RAFT_PATH);
    } catch (error) {
      this.lost((error as Error).message);
      return;
    }
    this.connecting = socket;
    let reason = 'the connection could not be made';
    const onError = (error: Error): void => {
      reason = error.message;
    };
    const onClose = (code: number, text: Buffer): void => {
      if (text.length > 0) reason = describeClose(code, text);
      environment.clock.clearTimeout(this.timer);
      this.connecting = undefined;
      this.lost(reason);
    };
    socket.on('error', onError);
    socket.once('close', onClose);
    socket.once('open', () => {
      environment.clock.clearTimeout(this.timer);
      socket.off('close', onClose);
      this.connecting = undefined;
      socket.send(encodeHello(hello));
      this.opened(socket);
    });
    this.timer = environment.clock.setTimeout(() => {
      reason = `no connection within ${limits.connectMs} ms`;
      socket.terminate();
    }, limits.connectMs);
  }

  private opened(socket: WebSocket): void {
    const { environment, limits, member } = this.options;
    if (this.ended) {
      closeSocket(socket, CloseCode.Gone, '');
      return;
    }
    this.openedMs = environment.clock.monotonicMs();
    const options = { peer: member.id, pings: true, limits, environment };
    const channel = new Channel(socket, options, {
      frame: (bytes) => this.events.frame(bytes, channel),
      closed: (reason) => {
        this.channel = undefined;
        const lastedMs = environment.clock.monotonicMs() - this.openedMs;
        if (lastedMs >= limits.stableMs) this.failures = 0;
        this.lost(reason);
      },
    });
    this.channel = channel;
    environment.logger.debug({ member: member.id, address: member.address }, 'raft: connected');
    this.flush();
  }

  private lost(reason: string): void {
    if (this.ended) return;
    const { environment, limits, member } = this.options;
    const { id, address } = member;
    environment.logger.debug({ member: id, address, reason }, 'raft: not connected');
    const waitMs = backOffMs(this.failures++, limits, environment.random);
    this.timer = environment.clock.setTimeout(() => this.connect(), waitMs);
    this.outbox.clear();
    environment.clock.setImmediate(() => {
      if (!this.ended) this.events.unreachable();
    });
  }

  private drop(): void {
    this.outbox.clear();
    this.events.unreachable();
  }
}
