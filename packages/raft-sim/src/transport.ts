import {
  DEFAULT_TRANSPORT_LIMITS,
  type MemberId,
  type MemberInfo,
  type Message,
  type SnapshotMessage,
  type SnapshotMeta,
  type Transport,
  type TransportHandler,
  type TransportLimits,
} from '@swarm/raft';
import {
  decodeFrame,
  decodeHello,
  encodeFrame,
  LineEnd,
  OutgoingSnapshots,
  PairedLine,
  SnapshotIntake,
  SnapshotReceiver,
  type TransportEnvironment,
} from '@swarm/raft/internals';
import type { Endpoint, SimProcess } from '@swarm/sim';
import type { RaftNetwork } from './network.js';

const SILENT = { debug() {}, info() {}, warn() {} };
const CLUSTER = 'simulation';

/**
 * One process's end of the simulated network. It reaches and refuses the same peers as the
 * WebSocket transport (guests are answered, removed members are not heard).
 */
export class SimTransport implements Transport, Endpoint<MemberId, Message> {
  readonly id: MemberId;
  readonly #network: RaftNetwork;
  readonly #process: SimProcess;
  #handler: TransportHandler | undefined;
  #members = new Set<MemberId>();
  readonly #guests = new Set<MemberId>();
  readonly #removed = new Set<MemberId>();
  readonly #outgoing: OutgoingSnapshots;
  readonly #intake: SnapshotIntake;
  readonly #environment: TransportEnvironment;
  readonly #limits: TransportLimits;
  /** Ends of snapshots' connections in this process. */
  #lines: PairedLine[] = [];

  constructor(network: RaftNetwork, id: MemberId, process: SimProcess) {
    this.#network = network;
    this.id = id;
    this.#process = process;
    this.#limits = { ...DEFAULT_TRANSPORT_LIMITS, ...network.plan.transfer };
    this.#environment = {
      clock: {
        monotonicMs: () => process.now(),
        setTimeout: (callback, ms) => process.setTimeout(callback, ms),
        clearTimeout: (timer) => process.clearTimeout(timer),
        setImmediate: (callback) => process.setImmediate(callback),
      },
      random: network.prng.fraction,
      logger: SILENT,
    };
    this.#outgoing = new OutgoingSnapshots({
      limits: this.#limits,
      environment: this.#environment,
      dial: (to) => this.#dial(to),
      hello: (to) => ({ clusterId: CLUSTER, from: id, to }),
      step: (to, step) => {
        if (step.kind === 'resumed') network.coverage.mark('snapshot resumed');
        this.#handler?.snapshotMoved(to, step);
      },
      sent: (to, ok) => this.#handler?.snapshotSent(to, ok),
    });
    this.#intake = new SnapshotIntake({
      take: (message, chunks) => this.#takeSnapshot(message, chunks),
      keepMs: this.#limits.snapshotKeepMs,
      clock: this.#environment.clock,
      logger: SILENT,
      gaveUp: () => network.coverage.mark('kept snapshot given up'),
    });
    network.attach(id, this);
  }

  start(handler: TransportHandler): void {
    this.#handler = handler;
  }

  setMembers(members: readonly MemberInfo[]): void {
    const wanted = new Set(members.map(({ id }) => id));
    for (const id of this.#members) {
      if (wanted.has(id)) continue;
      this.#removed.add(id);
      this.endSnapshot(id, 'the member was removed');
      this.#intake.endFrom(id, 'the member was removed');
    }
    for (const id of wanted) this.#removed.delete(id);
    this.#members = wanted;
  }

  send(messages: readonly Message[]): void {
    for (const message of messages) {
      this.#network.observer.sent(message);
      const { to } = message;
      const lost = () => this.#tellLost(to);
      if (this.#members.has(to) || (this.#guests.has(to) && !this.#removed.has(to))) {
        this.#network.send(this.id, to, message, lost);
      } else lost();
    }
  }

  #tellLost(to: MemberId): void {
    const { prng, plan } = this.#network;
    this.#process.after(1 + prng.delay(plan.delayUs), () => this.#handler?.unreachable(to));
  }

  /** Handles a message that arrived. */
  take(from: MemberId, message: Message): void {
    this.#process.enter(() => {
      if (this.#handler === undefined || this.#removed.has(from)) return;
      this.#guests.add(from);
      this.#network.observer.arrived(message);
      if (!this.#network.plan.encode) {
        this.#handler.receive(message);
        return;
      }
      for (const copy of decodeFrame(encodeFrame([message]), from).messages) {
        this.#handler.receive(copy);
      }
    });
  }

  sendSnapshot(
    message: SnapshotMessage,
    meta: SnapshotMeta,
    chunks: AsyncIterable<Uint8Array>,
  ): void {
    this.#network.observer.sent({ ...message, snapshot: meta });
    this.#outgoing.send({ message, meta, chunks });
  }

  endSnapshot(to: MemberId, reason: string): void {
    this.#outgoing.end(to, reason);
  }

  #dial(to: MemberId): PairedLine {
    const { id } = this;
    const network = this.#network;
    if (!this.#members.has(to)) throw new Error(`${to} is not a member`);
    const ends = new Map([[id, this.#process]]);
    const [near, far] = PairedLine.pair(network.wire(ends), id, to);
    this.#lines = [...this.#lines.filter((line) => !line.isOver), near];
    network.clock.after(network.arrivalDelayUs(id, to), () => {
      const peer = network.isCut(id, to) ? undefined : network.endpoint(to);
      if (peer === undefined) {
        far.breakOff('no member is there');
        return;
      }
      ends.set(to, peer.#process);
      peer.#process.enter(() => peer.#accept(id, far));
    });
    return near;
  }

  /** Runs in the receiving process. */
  #accept(from: MemberId, line: PairedLine): void {
    if (this.#handler === undefined || this.#removed.has(from)) {
      line.close(LineEnd.Over, 'not a member at this time');
      return;
    }
    this.#guests.add(from);
    this.#lines = [...this.#lines.filter((each) => !each.isOver), line];
    line.listen({
      opened: () => undefined,
      frame: (bytes) => {
        const hello = decodeHello(bytes);
        if ('code' in hello) line.close(LineEnd.Over, hello.reason);
        else new SnapshotReceiver(line, hello, this.#intake, this.#limits, this.#environment);
      },
      closed: () => undefined,
    });
    line.open();
  }

  #takeSnapshot(message: SnapshotMessage, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    if (this.#handler === undefined) return Promise.reject(new Error('the member is stopping'));
    this.#network.observer.arrived(message);
    return this.#handler.receiveSnapshot(message, chunks);
  }

  /** This end is gone: a dead process does nothing more, not even fail. */
  broken(why: string): void {
    this.#handler = undefined;
    for (const line of this.#lines) line.breakOff(why);
    this.#lines = [];
    if (!this.#process.alive) return;
    this.#outgoing.endAll(why);
    this.#intake.close(why);
  }

  async close(): Promise<void> {
    this.#network.detach(this.id, this);
  }
}
