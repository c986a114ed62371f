import type { Timer } from '@swarm/api';
import type { DatagramPeer, DatagramSocket } from '../../kernel/sockets.js';
import { openEach, type ProxyOptions, type Target, targetKey } from './target.js';
import { TargetOrder } from './target-order.js';

/** Clients remembered at a time; beyond that, forgets the one that has been silent longest. */
const MAX_SESSIONS = 4096;
/** Datagrams held while a session's socket is being prepared. */
const MAX_HELD = 16;
/** Bytes waiting in one of our sockets; drops more, as UDP may. */
const SEND_QUEUE_LIMIT_BYTES = 256 * 1024;

/** One client and its target. */
interface Session {
  /** The client's address. */
  readonly from: string;
  readonly target: Target;
  readonly socket: DatagramSocket;
  /** Until the socket is connected. */
  held: Uint8Array[] | undefined;
  lastMs: number;
}

/**
 * One published UDP port in user space: each client gets a target and its own socket, so that answers find
 * their way back, until it is silent for `idleMs` or the target is gone.
 */
export class UdpProxy {
  readonly #options: ProxyOptions & { readonly idleMs: number };
  /** By client; the one heard from last comes last. */
  readonly #sessions = new Map<string, Session>();
  #sockets: DatagramSocket[] = [];
  #order = new TargetOrder([], { hasAffinity: false });
  #timer: Timer | undefined;
  #closed = false;

  constructor(options: ProxyOptions & { readonly idleMs: number }) {
    this.#options = options;
  }

  /**
   * Sends clients to these; those of removed targets move with their next datagram.
   * @throws when the port cannot be bound; a later call tries again
   */
  async update(
    targets: readonly Target[],
    { hasAffinity }: { readonly hasAffinity: boolean } = { hasAffinity: false },
  ): Promise<void> {
    this.#order = new TargetOrder(targets, { hasAffinity });
    const keys = new Set(targets.map(targetKey));
    for (const [client, session] of this.#sessions) {
      if (!keys.has(targetKey(session.target))) this.#end(client, session);
    }
    if (this.#order.isEmpty) this.#unbind();
    else if (this.#sockets.length === 0 && !this.#closed) await this.#bind();
  }

  /** UDP has no connections to wait for. */
  async drain(): Promise<void> {
    await this.close();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#options.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#unbind();
    for (const [client, session] of this.#sessions) this.#end(client, session);
  }

  resetNode(nodeId: string): void {
    for (const [client, session] of this.#sessions) {
      if (session.target.nodeId === nodeId) this.#end(client, session);
    }
  }

  get connectionCount(): number {
    return this.#sessions.size;
  }

  async #bind(): Promise<void> {
    const { bindAddresses, port, sockets } = this.#options;
    this.#sockets = await openEach(bindAddresses, async (address) => {
      const socket: DatagramSocket = await sockets.bindDatagrams({ address, port }, (data, from) =>
        this.#receive(socket, data, from),
      );
      return socket;
    });
    if (this.#closed) this.#unbind();
  }

  #unbind(): void {
    for (const socket of this.#sockets) socket.close();
    this.#sockets = [];
  }

  #receive(socket: DatagramSocket, data: Uint8Array, from: DatagramPeer): void {
    const client = `${from.address} ${from.port}`;
    let session = this.#sessions.get(client);
    if (session === undefined) {
      const target = this.#order.of(from.address, this.#options.random(), 1)[0];
      if (target === undefined) return;
      const { limiter, clock } = this.#options;
      if (limiter?.admit(from.address, clock.monotonicMs()) === false) return;
      session = this.#open(socket, client, from, target);
    } else {
      this.#sessions.delete(client);
    }
    session.lastMs = this.#options.clock.monotonicMs();
    this.#sessions.set(client, session);
    if (this.#sessions.size > MAX_SESSIONS) {
      const [oldest] = this.#sessions;
      if (oldest !== undefined) this.#end(...oldest);
    }
    if (session.held === undefined) send(session.socket, data);
    else if (session.held.length < MAX_HELD) session.held.push(data);
    this.#scheduleSweep();
  }

  #open(socket: DatagramSocket, client: string, from: DatagramPeer, target: Target): Session {
    const { clock, sockets } = this.#options;
    const upstream = sockets.connectDatagrams(target, {
      ready: () => {
        const held = session.held ?? [];
        session.held = undefined;
        for (const data of held) send(upstream, data);
      },
      receive: (data) => {
        session.lastMs = clock.monotonicMs();
        if (socket.queuedBytes > SEND_QUEUE_LIMIT_BYTES || !this.#sockets.includes(socket)) return;
        socket.sendTo(data, from);
      },
      // Refused or unreachable: the client's next datagram goes to whatever is drawn then.
      failed: () => this.#end(client, session),
    });
    const session: Session = { from: from.address, target, socket: upstream, held: [], lastMs: 0 };
    return session;
  }

  #end(client: string, session: Session): void {
    if (this.#sessions.get(client) === session) {
      this.#sessions.delete(client);
      this.#options.limiter?.leave(session.from);
    }
    session.held = [];
    session.socket.close();
  }

  #scheduleSweep(): void {
    if (this.#timer !== undefined || this.#sessions.size === 0 || this.#closed) return;
    const { clock, idleMs } = this.#options;
    this.#timer = clock.setTimeout(() => {
      this.#timer = undefined;
      const before = clock.monotonicMs() - idleMs;
      for (const [client, session] of this.#sessions) {
        if (session.lastMs <= before) this.#end(client, session);
      }
      this.#scheduleSweep();
    }, idleMs / 2);
  }
}

function send(socket: DatagramSocket, data: Uint8Array): void {
  if (socket.queuedBytes <= SEND_QUEUE_LIMIT_BYTES) socket.send(data);
}
