import type { WebSocket } from 'ws';
import type { Message } from '../core/message.js';
import type { MemberId } from '../core/types.js';
import { Channel } from './channel.js';
import type { TransportEnvironment } from './environment.js';
import { CloseCode } from './hello.js';
import type { TransportLimits } from './limits.js';
import { Outbox } from './outbox.js';

export interface GuestOptions {
  readonly peer: MemberId;
  readonly limits: TransportLimits;
  readonly environment: TransportEnvironment;
}

export interface GuestEvents {
  frame(bytes: Uint8Array, channel: Channel): void;
  unreachable(): void;
  closed(): void;
}

/** A connection that another member made. Carries answers only to members unknown here. */
export class Guest {
  private readonly channel: Channel;
  private readonly outbox = new Outbox();
  private readonly limits: TransportLimits;
  private readonly events: GuestEvents;

  constructor(socket: WebSocket, options: GuestOptions, events: GuestEvents) {
    this.limits = options.limits;
    this.events = events;
    this.channel = new Channel(
      socket,
      { ...options, pings: false },
      { frame: (bytes) => events.frame(bytes, this.channel), closed: () => events.closed() },
    );
  }

  send(message: Message): void {
    this.outbox.push(message);
  }

  flush(): void {
    if (this.outbox.isEmpty) return;
    const frames = this.channel.congested ? [] : this.outbox.take(this.limits.frameBytes);
    if (frames.length > 0 && this.channel.send(frames)) return;
    this.outbox.clear();
    this.events.unreachable();
  }

  close(reason: string): void {
    this.channel.close(CloseCode.Gone, reason);
  }

  /** Ends this connection because the same member made a new one. */
  replace(): void {
    this.channel.close(CloseCode.Replaced, 'a newer connection took its place');
  }
}
