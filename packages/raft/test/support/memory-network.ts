import type { Message, SnapshotMessage } from '../../src/core/message.js';
import type { MemberId, MemberInfo, SnapshotMeta } from '../../src/core/types.js';
import type { Clock } from '../../src/host/clock.js';
import { CutOff } from '../../src/host/cut-off.js';
import type { Transport, TransportHandler } from '../../src/transport/transport.js';

/** Carries messages between members in one process: in order per link, unless told to lose them. */
export class TestNetwork {
  latencyMs = 1;
  /** Receives every message that was sent, if set. */
  onSend: ((message: Message) => void) | undefined;
  /** Loses messages for which this holds. */
  lose: (message: Message) => boolean = () => false;
  /** Tells senders of snapshots that they failed, even if they did not. */
  losesConfirmations = false;
  /** Snapshots installed. */
  snapshots = 0;
  readonly clock: Clock;
  private readonly handlers = new Map<MemberId, TransportHandler>();
  private readonly cut = new Set<string>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  attach(id: MemberId): TestTransport {
    return new TestTransport(this, id);
  }

  /** Cuts a member off from all others, in both directions. */
  isolate(id: MemberId, others: readonly MemberId[]): void {
    for (const other of others) {
      if (other === id) continue;
      this.cut.add(`${id}>${other}`);
      this.cut.add(`${other}>${id}`);
    }
  }

  heal(): void {
    this.cut.clear();
  }

  isCut(from: MemberId, to: MemberId): boolean {
    return this.cut.has(`${from}>${to}`);
  }

  handler(id: MemberId): TransportHandler | undefined {
    return this.handlers.get(id);
  }

  register(id: MemberId, handler: TransportHandler): void {
    this.handlers.set(id, handler);
  }

  unregister(id: MemberId, handler: TransportHandler): void {
    if (this.handlers.get(id) === handler) this.handlers.delete(id);
  }
}

export class TestTransport implements Transport {
  members: readonly MemberInfo[] = [];
  private readonly network: TestNetwork;
  private readonly id: MemberId;
  private own: TransportHandler | undefined;
  private readonly transfers = new Map<MemberId, CutOff>();

  constructor(network: TestNetwork, id: MemberId) {
    this.network = network;
    this.id = id;
  }

  start(handler: TransportHandler): void {
    this.own = handler;
    this.network.register(this.id, handler);
  }

  setMembers(members: readonly MemberInfo[]): void {
    this.members = members;
  }

  send(messages: readonly Message[]): void {
    const { network } = this;
    for (const message of messages) {
      if (this.own === undefined) return;
      network.onSend?.(message);
      if (network.isCut(this.id, message.to) || network.lose(message)) continue;
      network.clock.setTimeout(() => {
        if (!network.isCut(this.id, message.to)) network.handler(message.to)?.receive(message);
      }, network.latencyMs);
    }
  }

  sendSnapshot(
    message: SnapshotMessage,
    _meta: SnapshotMeta,
    chunks: AsyncIterable<Uint8Array>,
  ): void {
    const { network } = this;
    const transfer = new CutOff(chunks);
    this.transfers.set(message.to, transfer);
    const done = (ok: boolean) => {
      if (this.transfers.get(message.to) === transfer) this.own?.snapshotSent(message.to, ok);
    };
    network.clock.setTimeout(() => {
      const handler = network.isCut(this.id, message.to) ? undefined : network.handler(message.to);
      if (handler === undefined) {
        done(false);
        return;
      }
      handler.receiveSnapshot(message, transfer).then(
        () => {
          network.snapshots++;
          done(!network.losesConfirmations);
        },
        () => done(false),
      );
    }, network.latencyMs);
  }

  endSnapshot(to: MemberId, reason: string): void {
    this.transfers.get(to)?.cut(new Error(reason));
    this.transfers.delete(to);
  }

  async close(): Promise<void> {
    if (this.own !== undefined) this.network.unregister(this.id, this.own);
    this.own = undefined;
  }
}
