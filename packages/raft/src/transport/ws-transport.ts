import type { WebSocket } from 'ws';
import { decodeFrame, WireVersionError } from '../codec/message-codec.js';
import { assert } from '../core/assert.js';
import { type Message, MessageType, type SnapshotMessage } from '../core/message.js';
import type { MemberId, MemberInfo, SnapshotMeta } from '../core/types.js';
import { type Channel, closeSocket } from './channel.js';
import { OnceLogger, type TransportEnvironment } from './environment.js';
import { Guest } from './guest.js';
import {
  CloseCode,
  decodeHello,
  type Hello,
  RAFT_PATH,
  RAFT_SNAPSHOT_PATH,
  type Refusal,
} from './hello.js';
import { DEFAULT_TRANSPORT_LIMITS, type TransportLimits } from './limits.js';
import { OutgoingSnapshots } from './outgoing-snapshots.js';
import { type Connect, Peer } from './peer.js';
import { SnapshotIntake } from './snapshot-intake.js';
import { SnapshotReceiver } from './snapshot-receiver.js';
import type { Transport, TransportHandler } from './transport.js';
import { WsSnapshotLine } from './ws-snapshot-line.js';

export interface WsTransportOptions extends TransportEnvironment {
  readonly self: MemberInfo;
  readonly clusterId: string;
  /** See `tlsConnect`. */
  readonly connect: Connect;
  readonly limits?: Partial<TransportLimits>;
}

/** The peer of an accepted connection, as its certificate says. */
export interface AcceptedPeer {
  readonly nodeId: string;
}

/**
 * Messages between members over WebSockets. Each member opens one connection to each other member
 * for what it has to say, so there are two between each pair; a snapshot has its own. The transport
 * has no server: the owner of the upgrade handler passes the sockets to `accept`.
 *
 * A member unknown here, such as a candidate added while we were away, gets its answer over the
 * connection it made.
 */
export class WsTransport implements Transport {
  private readonly options: WsTransportOptions;
  private readonly limits: TransportLimits;
  private readonly once: OnceLogger;
  private handler: TransportHandler | undefined;
  private readonly peers = new Map<MemberId, Peer>();
  /** Connections that others made, by member. */
  private readonly guests = new Map<MemberId, Guest>();
  /** Former members; ids are never used again. */
  private readonly removed = new Set<MemberId>();
  private readonly sockets = new Set<WebSocket>();
  private readonly outgoing: OutgoingSnapshots;
  private readonly intake: SnapshotIntake;
  private flushing = false;
  private closed = false;

  constructor(options: WsTransportOptions) {
    assert(Number.isSafeInteger(options.self.id) && options.self.id > 0, 'member id out of range');
    this.options = options;
    this.limits = { ...DEFAULT_TRANSPORT_LIMITS, ...options.limits };
    this.once = new OnceLogger(options.logger);
    this.outgoing = new OutgoingSnapshots({
      limits: this.limits,
      environment: options,
      dial: (to) => this.dialForSnapshot(to),
      hello: (to) => this.helloTo(to),
      step: (to, step) => this.handler?.snapshotMoved(to, step),
      sent: (to, ok) => this.handler?.snapshotSent(to, ok),
      failed: ({ message, meta }, { message: reason }) =>
        options.logger.info(
          { member: message.to, index: meta.index, reason },
          'raft: snapshot was not taken',
        ),
    });
    this.intake = new SnapshotIntake({
      take: (message, chunks) =>
        this.handler?.receiveSnapshot(message, chunks) ??
        Promise.reject(new Error('not a member at this time')),
      keepMs: this.limits.snapshotKeepMs,
      clock: options.clock,
      logger: options.logger,
    });
  }

  start(handler: TransportHandler): void {
    assert(this.handler === undefined, 'the transport is already started');
    this.handler = handler;
  }

  setMembers(members: readonly MemberInfo[]): void {
    if (this.closed) return;
    const wanted = new Map(members.map((member) => [member.id, member]));
    wanted.delete(this.options.self.id);
    for (const [id, peer] of this.peers) {
      const member = wanted.get(id);
      if (member?.address === peer.member.address && member.nodeId === peer.member.nodeId) continue;
      peer.close();
      this.peers.delete(id);
      if (member === undefined) this.forget(id);
    }
    for (const [id, member] of wanted) {
      this.removed.delete(id);
      if (!this.peers.has(id)) this.peers.set(id, this.peerFor(member));
    }
  }

  send(messages: readonly Message[]): void {
    if (this.closed) return;
    for (const message of messages) {
      assert(message.to !== this.options.self.id, 'a message to the member itself', message.type);
      const receiver = this.peers.get(message.to) ?? this.guests.get(message.to);
      if (receiver !== undefined) receiver.send(message);
      else this.later(() => this.handler?.unreachable(message.to));
    }
    this.flushSoon();
  }

  sendSnapshot(
    message: SnapshotMessage,
    meta: SnapshotMeta,
    chunks: AsyncIterable<Uint8Array>,
  ): void {
    const { to } = message;
    this.endSnapshot(to, 'a newer snapshot is being sent');
    if (this.closed) return;
    if (!this.peers.has(to)) {
      this.later(() => this.handler?.snapshotSent(to, false));
      return;
    }
    this.outgoing.send({ message, meta, chunks });
  }

  endSnapshot(to: MemberId, reason: string): void {
    this.outgoing.end(to, reason);
  }

  /**
   * Takes over a connection made by another member.
   * @param socket open, made with `socketOptions`
   * @param path RAFT_PATH or RAFT_SNAPSHOT_PATH
   */
  accept(socket: WebSocket, peer: AcceptedPeer, path: string = RAFT_PATH): void {
    const { clock } = this.options;
    if (this.closed || this.handler === undefined) {
      closeSocket(socket, CloseCode.Gone, 'not a member at this time');
      return;
    }
    this.own(socket);
    const onError = (): void => {};
    socket.on('error', onError);
    const timer = clock.setTimeout(() => socket.terminate(), this.limits.connectMs);
    const onClose = (): void => clock.clearTimeout(timer);
    socket.once('close', onClose);
    socket.once('message', (data) => {
      clock.clearTimeout(timer);
      socket.off('close', onClose);
      const hello = this.check(decodeHello(data as Buffer), peer);
      if ('code' in hello) {
        const { code, reason } = hello;
        this.once.warn({ node: peer.nodeId, code, reason }, 'raft: refused a connection');
        closeSocket(socket, code, reason);
        return;
      }
      if (path === RAFT_SNAPSHOT_PATH) this.admitSnapshot(socket, hello);
      else this.admit(socket, hello.from);
    });
  }

  /** Resolves when all connections are closed. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    for (const peer of this.peers.values()) peer.close();
    for (const guest of this.guests.values()) guest.close('the member is stopping');
    this.outgoing.endAll('the member is stopping');
    this.intake.close('the member is stopping');
    await Promise.all([...this.sockets].map((socket) => this.closeOf(socket)));
  }

  private peerFor(member: MemberInfo): Peer {
    const hello = this.helloTo(member.id);
    const connect: Connect = (to, path) => this.own(this.options.connect(to, path));
    const { limits } = this;
    const options = { member, hello, connect, limits, environment: this.options };
    return new Peer(options, {
      frame: (bytes, channel) => this.receive(bytes, channel),
      unreachable: () => this.handler?.unreachable(member.id),
    });
  }

  private helloTo(to: MemberId): Hello {
    return { clusterId: this.options.clusterId, from: this.options.self.id, to };
  }

  private check(hello: Hello | Refusal, peer: AcceptedPeer): Hello | Refusal {
    if ('code' in hello) return hello;
    const { self, clusterId } = this.options;
    const { from, to } = hello;
    if (hello.clusterId !== clusterId) {
      return { code: CloseCode.WrongCluster, reason: `this is cluster ${clusterId}` };
    }
    if (to !== self.id) {
      return { code: CloseCode.WrongMember, reason: `this is member ${self.id}, not ${to}` };
    }
    if (from === self.id) return { code: CloseCode.WrongMember, reason: 'that is my own id' };
    if (this.removed.has(from)) {
      return { code: CloseCode.Gone, reason: `member ${from} was removed` };
    }
    const known = this.peers.get(from)?.member;
    if (known !== undefined && known.nodeId !== peer.nodeId) {
      return { code: CloseCode.WrongNode, reason: `member ${from} is another node` };
    }
    return hello;
  }

  private admit(socket: WebSocket, from: MemberId): void {
    this.guests.get(from)?.replace();
    const options = { peer: from, limits: this.limits, environment: this.options };
    const guest = new Guest(socket, options, {
      frame: (bytes, channel) => this.receive(bytes, channel),
      unreachable: () => this.handler?.unreachable(from),
      closed: () => {
        if (this.guests.get(from) === guest) this.guests.delete(from);
      },
    });
    this.guests.set(from, guest);
    this.peers.get(from)?.hurry();
  }

  private admitSnapshot(socket: WebSocket, hello: Hello): void {
    const line = new WsSnapshotLine(socket);
    new SnapshotReceiver(line, hello, this.intake, this.limits, this.options);
  }

  /** Dials the member's current address: a new address applies to a snapshot under way too. */
  private dialForSnapshot(to: MemberId): WsSnapshotLine {
    const member = this.peers.get(to)?.member;
    if (this.closed || member === undefined) throw new Error(`${to} is not a peer`);
    return new WsSnapshotLine(this.own(this.options.connect(member, RAFT_SNAPSHOT_PATH)));
  }

  private receive(bytes: Uint8Array, channel: Channel): void {
    const { handler, closed } = this;
    if (handler === undefined || closed) return;
    const from = channel.peer;
    let messages: readonly Message[];
    try {
      const frame = decodeFrame(bytes, from);
      messages = frame.messages;
      for (const type of frame.unknownTypes) {
        this.once.warn({ member: from, type }, 'raft: dropped a message of an unknown type');
      }
    } catch (error) {
      const reason = (error as Error).message;
      this.once.warn({ member: from, reason }, 'raft: dropped a frame');
      // Versions differ during an upgrade; any other error means that the peer is faulty.
      if (!(error instanceof WireVersionError)) channel.close(CloseCode.Malformed, reason);
      return;
    }
    // The host would treat it as one whose state has arrived.
    if (messages.some(({ type }) => type === MessageType.Snapshot)) {
      channel.close(CloseCode.Malformed, 'a snapshot without its state');
      return;
    }
    for (const message of messages) {
      if (message.to === this.options.self.id) handler.receive(message);
      else
        this.once.warn(
          { member: from, to: message.to },
          'raft: dropped a message for another member',
        );
    }
  }

  /** Cuts a removed member off: it has nothing more to say or to hear. */
  private forget(id: MemberId): void {
    this.removed.add(id);
    this.guests.get(id)?.close('the member was removed');
    this.endSnapshot(id, 'the member was removed');
    this.intake.endFrom(id, 'the member was removed');
  }

  /**
   * Flushes as soon as the host has returned. What it sends in one turn leaves together, and does
   * not wait for the rest of the event loop, which would delay a leader's followers.
   */
  private flushSoon(): void {
    if (this.flushing) return;
    this.flushing = true;
    queueMicrotask(() => {
      this.flushing = false;
      if (this.closed) return;
      for (const peer of this.peers.values()) peer.flush();
      for (const guest of this.guests.values()) guest.flush();
    });
  }

  /** Calls the handler later, never from within a call of the host. */
  private later(callback: () => void): void {
    this.options.clock.setImmediate(() => {
      if (!this.closed) callback();
    });
  }

  private own(socket: WebSocket): WebSocket {
    this.sockets.add(socket);
    socket.once('close', () => this.sockets.delete(socket));
    return socket;
  }

  private async closeOf(socket: WebSocket): Promise<void> {
    const { clock } = this.options;
    await new Promise<void>((resolve) => {
      const timer = clock.setTimeout(() => socket.terminate(), CLOSE_MS);
      socket.once('close', () => {
        clock.clearTimeout(timer);
        resolve();
      });
      closeSocket(socket, CloseCode.Gone, 'the member is stopping');
    });
  }
}

/** Time for the other side to agree to a close. */
const CLOSE_MS = 500;
