import { decodeFrame, encodeFrame } from '../codec/message-codec.js';
import { assert } from '../core/assert.js';
import type { Message } from '../core/message.js';
import type { MemberId, MemberInfo, SnapshotMeta } from '../core/types.js';
import type { Transport, TransportHandler } from './transport.js';

export interface MemoryNetworkOptions {
  /** Calls back when a delivery between two members is due. Default: the next turn of the loop. */
  readonly schedule?: (deliver: () => void, from: MemberId, to: MemberId) => void;
}

/**
 * Joins members of one process, for tests. What is sent is turned into bytes and back, so nothing is
 * shared between members that would not be shared between hosts.
 */
export class MemoryNetwork {
  private readonly schedule: (deliver: () => void, from: MemberId, to: MemberId) => void;
  private readonly transports = new Map<MemberId, MemoryTransport>();
  private readonly cuts = new Set<string>();

  constructor(options: MemoryNetworkOptions = {}) {
    this.schedule = options.schedule ?? ((deliver) => void setImmediate(deliver));
  }

  /** The transport of one member; takes the place of the one it had before. */
  join(id: MemberId): Transport {
    const transport = new MemoryTransport(this, id);
    this.transports.set(id, transport);
    return transport;
  }

  /** Nothing gets from one to the other, in this direction. */
  cut(from: MemberId, to: MemberId): void {
    this.cuts.add(`${from}>${to}`);
  }

  heal(): void {
    this.cuts.clear();
  }

  /** @internal */
  leave(id: MemberId, transport: MemoryTransport): void {
    if (this.transports.get(id) === transport) this.transports.delete(id);
  }

  /** @internal */
  deliver(
    from: MemberId,
    to: MemberId,
    then: (receiver: MemoryTransport | undefined) => void,
  ): void {
    this.schedule(
      () => {
        const receiver = this.cuts.has(`${from}>${to}`) ? undefined : this.transports.get(to);
        then(receiver);
      },
      from,
      to,
    );
  }
}

class MemoryTransport implements Transport {
  readonly id: MemberId;
  private readonly network: MemoryNetwork;
  private members: ReadonlySet<MemberId> = new Set();
  private readonly removed = new Set<MemberId>();
  private readonly guests = new Set<MemberId>();
  private readonly transfers = new Map<MemberId, object>();
  private handler: TransportHandler | undefined;

  constructor(network: MemoryNetwork, id: MemberId) {
    this.network = network;
    this.id = id;
  }

  start(handler: TransportHandler): void {
    assert(this.handler === undefined, 'the transport is started already');
    this.handler = handler;
  }

  setMembers(members: readonly MemberInfo[]): void {
    const wanted = new Set(members.map(({ id }) => id));
    for (const id of this.members) if (!wanted.has(id)) this.removed.add(id);
    for (const id of wanted) this.removed.delete(id);
    this.members = wanted;
  }

  send(messages: readonly Message[]): void {
    for (const message of messages) {
      assert(message.to !== this.id, 'a message to oneself', message.type);
      const { to } = message;
      const frame = this.reaches(to) ? encodeFrame([message]) : undefined;
      this.network.deliver(this.id, to, (receiver) => {
        if (frame === undefined || receiver?.take(this.id, frame) !== true) {
          this.handler?.unreachable(to);
        }
      });
    }
  }

  sendSnapshot(message: Message, meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): void {
    const { to } = message;
    const transfer = {};
    this.transfers.set(to, transfer);
    const frame = encodeFrame([{ ...message, entries: [], snapshot: meta }]);
    const isCurrent = (): boolean =>
      this.handler !== undefined && this.transfers.get(to) === transfer;
    this.network.deliver(this.id, to, (receiver) => {
      const taken =
        this.members.has(to) && receiver?.takeSnapshot(this.id, frame, copies(chunks, isCurrent));
      Promise.resolve(taken || Promise.reject(new Error('unreachable'))).then(
        () => isCurrent() && this.handler?.snapshotSent(to, true),
        () => isCurrent() && this.handler?.snapshotSent(to, false),
      );
    });
  }

  async close(): Promise<void> {
    this.handler = undefined;
    this.network.leave(this.id, this);
  }

  /** @internal @returns whether it arrived. */
  take(from: MemberId, frame: Uint8Array): boolean {
    if (this.handler === undefined || this.removed.has(from)) return false;
    this.guests.add(from);
    for (const message of decodeFrame(frame, from).messages) this.handler.receive(message);
    return true;
  }

  /** @internal */
  takeSnapshot(
    from: MemberId,
    frame: Uint8Array,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<void> | undefined {
    const [message] = decodeFrame(frame, from).messages;
    if (message === undefined || this.removed.has(from)) return undefined;
    return this.handler?.receiveSnapshot(message, chunks);
  }

  private reaches(id: MemberId): boolean {
    return this.members.has(id) || (this.guests.has(id) && !this.removed.has(id));
  }
}

async function* copies(
  chunks: AsyncIterable<Uint8Array>,
  isCurrent: () => boolean,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    if (!isCurrent()) throw new Error('a newer snapshot is sent');
    yield new Uint8Array(chunk);
  }
}
