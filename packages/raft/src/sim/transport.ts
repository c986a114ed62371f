import { decodeFrame, encodeFrame } from '../codec/message-codec.js';
import type { Message } from '../core/message.js';
import type { MemberId, MemberInfo, SnapshotMeta } from '../core/types.js';
import type { Transport, TransportHandler } from '../transport/transport.js';
import { ChunkStream } from './chunk-stream.js';
import type { SimNetwork } from './network.js';
import type { SimProcess } from './process.js';

/** Time until a side of a snapshot's connection believes that the other is gone. */
const SILENT_US = 2_000_000;

/** A snapshot on its way from here. */
interface Sending {
  readonly to: MemberId;
  stream: ChunkStream | undefined;
  over: boolean;
}

/**
 * One process's end of the simulated network; whom it reaches and refuses is what the WebSocket
 * transport does (guests are answered, removed members are not heard).
 */
export class SimTransport implements Transport {
  readonly id: MemberId;
  private readonly network: SimNetwork;
  private readonly process: SimProcess;
  private handler: TransportHandler | undefined;
  private members = new Set<MemberId>();
  private readonly guests = new Set<MemberId>();
  private readonly removed = new Set<MemberId>();
  private readonly sending = new Map<MemberId, Sending>();
  /** What comes in, and how to tell the sender that it failed. */
  private readonly receiving = new Map<ChunkStream, () => void>();

  constructor(network: SimNetwork, id: MemberId, process: SimProcess) {
    this.network = network;
    this.id = id;
    this.process = process;
    network.attach(id, this);
  }

  start(handler: TransportHandler): void {
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
      this.network.observer.sent(message);
      const { to } = message;
      const lost = () => this.tellLost(to);
      if (this.members.has(to) || (this.guests.has(to) && !this.removed.has(to))) {
        this.network.send(this.id, message, lost);
      } else lost();
    }
  }

  private tellLost(to: MemberId): void {
    const { prng, plan } = this.network;
    this.process.after(1 + prng.delay(plan.delayUs), () => this.handler?.unreachable(to));
  }

  /** A message has arrived. */
  take(from: MemberId, message: Message): void {
    this.process.enter(() => {
      if (this.handler === undefined || this.removed.has(from)) return;
      this.guests.add(from);
      this.network.observer.arrived(message);
      if (!this.network.plan.encode) {
        this.handler.receive(message);
        return;
      }
      for (const copy of decodeFrame(encodeFrame([message]), from).messages) {
        this.handler.receive(copy);
      }
    });
  }

  sendSnapshot(message: Message, meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): void {
    const { to } = message;
    const before = this.sending.get(to);
    if (before !== undefined) this.giveUp(before);
    const sending: Sending = { to, stream: undefined, over: false };
    this.sending.set(to, sending);
    this.network.observer.sent({ ...message, snapshot: meta });
    this.pump(sending, { ...message, snapshot: meta }, chunks).catch((error: unknown) => {
      // The view's own errors are the state machine's, which has none in a simulation.
      throw error;
    });
  }

  /** One piece after the other, each acknowledged before the next leaves. */
  private async pump(
    sending: Sending,
    message: Message,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    const { to } = message;
    const opened = await this.reach(to, (peer) => {
      // This end may be gone by the time its greeting arrives.
      if (sending.over || !this.process.alive) return false;
      const stream = peer.openStream(this.id, message, (ok) => this.answered(sending, ok));
      sending.stream = stream;
      return stream !== undefined;
    });
    if (!opened) {
      // The peer may have opened it, and only its answer be lost.
      this.giveUp(sending);
      this.finish(sending, false);
      return;
    }
    for await (const chunk of chunks) {
      if (sending.over) return;
      const lost = this.network.prng.chance(this.network.plan.chunkLoss);
      const taken = !lost && (await this.reach(to, () => sending.stream!.push(chunk)));
      if (taken) continue;
      this.breakOff(sending);
      return;
    }
    if (!(await this.reach(to, () => sending.stream!.end()))) this.breakOff(sending);
  }

  private breakOff(sending: Sending): void {
    this.network.coverage.mark('snapshot broken off');
    this.giveUp(sending);
    this.process.after(this.network.prng.below(SILENT_US), () => this.finish(sending, false));
  }

  /** Does something at a peer and comes back with its answer; false when either way is cut. */
  private reach(to: MemberId, act: (peer: SimTransport) => boolean): Promise<boolean> {
    const { network, process, id } = this;
    return new Promise((answer) => {
      // The peer may be paused, and die so.
      const patience = process.after(4 * SILENT_US, () => answer(false));
      const resolve = (done: boolean) => {
        patience.cancelled = true;
        answer(done);
      };
      const fail = () => process.after(SILENT_US, () => resolve(false));
      network.scheduler.after(network.arrivalDelayUs(id, to), () => {
        const peer = network.isCut(id, to) ? undefined : network.transport(to);
        if (peer === undefined) {
          fail();
          return;
        }
        peer.process.enter(() => {
          const done = act(peer);
          network.scheduler.after(network.arrivalDelayUs(to, id), () => {
            if (network.isCut(to, id)) fail();
            else process.enter(() => resolve(done));
          });
        });
      });
    });
  }

  /** Runs in the receiving process. */
  private openStream(
    from: MemberId,
    message: Message,
    answer: (ok: boolean) => void,
  ): ChunkStream | undefined {
    if (this.handler === undefined || this.removed.has(from)) return undefined;
    this.guests.add(from);
    const stream = new ChunkStream(from);
    this.network.observer.arrived(message);
    const done = (ok: boolean) => {
      this.receiving.delete(stream);
      const { network, id } = this;
      network.scheduler.after(network.arrivalDelayUs(id, from), () => {
        if (!network.isCut(id, from)) answer(ok);
        else network.scheduler.after(SILENT_US, () => answer(false));
      });
    };
    this.receiving.set(stream, () => done(false));
    this.handler.receiveSnapshot(message, stream).then(
      () => done(true),
      () => done(false),
    );
    return stream;
  }

  private answered(sending: Sending, ok: boolean): void {
    this.process.enter(() => {
      // A refusal ends a stream that is still being sent.
      this.finish(sending, ok);
    });
  }

  private finish(sending: Sending, ok: boolean): void {
    sending.over = true;
    if (this.sending.get(sending.to) !== sending) return;
    this.sending.delete(sending.to);
    this.handler?.snapshotSent(sending.to, ok);
  }

  /** The receiver's end breaks, too, some time later. */
  private giveUp(sending: Sending): void {
    sending.over = true;
    const { network } = this;
    const { stream, to } = sending;
    if (stream === undefined) return;
    network.scheduler.after(network.prng.below(SILENT_US), () => {
      network.transport(to)?.process.enter(() => stream.fail('the connection broke'));
    });
  }

  /** This end is gone. */
  broken(why: string): void {
    this.handler = undefined;
    for (const sending of this.sending.values()) this.giveUp(sending);
    this.sending.clear();
    for (const [stream, refuse] of this.receiving) {
      // What is dead does nothing more, not even fail.
      if (this.process.alive) stream.fail(why);
      else refuse();
    }
    this.receiving.clear();
  }

  async close(): Promise<void> {
    this.network.detach(this.id, this);
  }
}
