import { decodeFrame, encodeFrame } from '../codec/message-codec.js';
import { assert } from '../core/assert.js';
import type { Message, SnapshotMessage } from '../core/message.js';
import type { MemberId, MemberInfo, SnapshotMeta } from '../core/types.js';
import { systemClock } from '../host/clock.js';
import type { TransportClock, TransportEnvironment } from './environment.js';
import { decodeHello } from './hello.js';
import { DEFAULT_TRANSPORT_LIMITS, type TransportLimits } from './limits.js';
import { OutgoingSnapshots } from './outgoing-snapshots.js';
import { PairedLine, type LineWire } from './paired-line.js';
import { SnapshotIntake } from './snapshot-intake.js';
import { LineEnd } from './snapshot-line.js';
import { SnapshotReceiver } from './snapshot-receiver.js';
import type { Transport, TransportHandler } from './transport.js';

export interface MemoryNetworkOptions {
  /** Calls back when a delivery between two members is due. Default: the next turn of the loop. */
  readonly schedule?: (deliver: () => void, from: MemberId, to: MemberId) => void;
  /**
   * Decides whether a snapshot's connection breaks instead of carrying this frame. Default: never.
   */
  readonly breaks?: (frame: Uint8Array, from: MemberId, to: MemberId) => boolean;
  /** For snapshots only. Default: the clock of the process. */
  readonly clock?: TransportClock;
  /** Uniform in [0, 1), for snapshots only. Default: the process's own. */
  readonly random?: () => number;
  readonly limits?: Partial<TransportLimits>;
}

const SILENT = { debug() {}, info() {}, warn() {} };
/** Members of one process are in one cluster. */
const CLUSTER = 'memory';

/**
 * Connects members of one process, for tests. Encodes and decodes every message, so members share
 * nothing that hosts would not share.
 */
export class MemoryNetwork {
  private readonly schedule: (deliver: () => void, from: MemberId, to: MemberId) => void;
  private readonly transports = new Map<MemberId, MemoryTransport>();
  private readonly cuts = new Set<string>();
  /** @internal */
  readonly wire: LineWire;
  /** @internal */
  readonly environment: TransportEnvironment;
  /** @internal */
  readonly limits: TransportLimits;

  constructor(options: MemoryNetworkOptions = {}) {
    const schedule = options.schedule ?? ((deliver) => void setImmediate(deliver));
    this.schedule = schedule;
    this.limits = { ...DEFAULT_TRANSPORT_LIMITS, ...options.limits };
    const clock = options.clock ?? systemClock();
    this.environment = { clock, random: options.random ?? Math.random, logger: SILENT };
    const { breaks } = options;
    this.wire = {
      breaks: (frame, from, to) =>
        this.cuts.has(`${from}>${to}`) || breaks?.(frame, from, to) === true,
      carry: (from, to, arrived) => schedule(arrived, from, to),
      notice: (at, of, noticed) => schedule(noticed, of, at),
      keepsFlight: () => true,
    };
  }

  /** Returns the transport of one member. Replaces the one it had before. */
  join(id: MemberId): Transport {
    const transport = new MemoryTransport(this, id);
    this.transports.set(id, transport);
    return transport;
  }

  /** Cuts the link from one member to the other, in this direction. */
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
  private readonly outgoing: OutgoingSnapshots;
  private readonly intake: SnapshotIntake;
  private handler: TransportHandler | undefined;

  constructor(network: MemoryNetwork, id: MemberId) {
    this.network = network;
    this.id = id;
    const { environment, limits } = network;
    this.outgoing = new OutgoingSnapshots({
      limits,
      environment,
      dial: (to) => this.dial(to),
      hello: (to) => ({ clusterId: CLUSTER, from: id, to }),
      step: (to, step) => this.handler?.snapshotMoved(to, step),
      sent: (to, ok) => this.handler?.snapshotSent(to, ok),
    });
    const { clock, logger } = environment;
    this.intake = new SnapshotIntake({
      take: (message, chunks) =>
        this.handler?.receiveSnapshot(message, chunks) ??
        Promise.reject(new Error('the member is stopping')),
      keepMs: limits.snapshotKeepMs,
      clock,
      logger,
    });
  }

  start(handler: TransportHandler): void {
    assert(this.handler === undefined, 'the transport is already started');
    this.handler = handler;
  }

  setMembers(members: readonly MemberInfo[]): void {
    const wanted = new Set(members.map(({ id }) => id));
    for (const id of this.members) {
      if (wanted.has(id)) continue;
      this.removed.add(id);
      this.endSnapshot(id, 'the member was removed');
      this.intake.endFrom(id, 'the member was removed');
    }
    for (const id of wanted) this.removed.delete(id);
    this.members = wanted;
  }

  send(messages: readonly Message[]): void {
    for (const message of messages) {
      assert(message.to !== this.id, 'a message to the member itself', message.type);
      const { to } = message;
      const frame = this.reaches(to) ? encodeFrame([message]) : undefined;
      this.network.deliver(this.id, to, (receiver) => {
        if (frame === undefined || receiver?.take(this.id, frame) !== true) {
          this.handler?.unreachable(to);
        }
      });
    }
  }

  sendSnapshot(
    message: SnapshotMessage,
    meta: SnapshotMeta,
    chunks: AsyncIterable<Uint8Array>,
  ): void {
    this.outgoing.send({ message, meta, chunks });
  }

  endSnapshot(to: MemberId, reason: string): void {
    this.outgoing.end(to, reason);
  }

  async close(): Promise<void> {
    this.handler = undefined;
    this.network.leave(this.id, this);
    this.outgoing.endAll('the member is stopping');
    this.intake.close('the member is stopping');
  }

  private dial(to: MemberId): PairedLine {
    if (!this.members.has(to)) throw new Error(`${to} is not a member`);
    const [near, far] = PairedLine.pair(this.network.wire, this.id, to);
    this.network.deliver(this.id, to, (receiver) => {
      if (receiver?.accept(this.id, far) !== true) far.close(LineEnd.Broken, 'no member is there');
    });
    return near;
  }

  /** @internal @returns whether the connection is accepted */
  accept(from: MemberId, line: PairedLine): boolean {
    if (this.handler === undefined || this.removed.has(from)) return false;
    const { limits, environment } = this.network;
    line.listen({
      opened: () => {},
      frame: (bytes) => {
        const hello = decodeHello(bytes);
        if ('code' in hello) line.close(LineEnd.Over, hello.reason);
        else new SnapshotReceiver(line, hello, this.intake, limits, environment);
      },
      closed: () => {},
    });
    line.open();
    return true;
  }

  /** @internal @returns whether it arrived */
  take(from: MemberId, frame: Uint8Array): boolean {
    if (this.handler === undefined || this.removed.has(from)) return false;
    this.guests.add(from);
    for (const message of decodeFrame(frame, from).messages) this.handler.receive(message);
    return true;
  }

  private reaches(id: MemberId): boolean {
    return this.members.has(id) || (this.guests.has(id) && !this.removed.has(id));
  }
}
