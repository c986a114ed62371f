import {
  type Clock,
  type ForeignFirewall,
  type Logger,
  showControls,
  type Timer,
} from '@swarm/api';
import { type Ipv4Address, nodeAddress } from '../address.js';
import type { CheckedPeer } from '../checked.js';
import type { Kernel } from '../kernel/kernel.js';
import type { DatagramPeer, DatagramSocket, Sockets } from '../kernel/sockets.js';
import { PROBE_PORT } from '../layout.js';
import { FirewallWatch } from './firewall-watch.js';
import { ANSWERS_PER_SECOND, BIND_RETRY_MS, TICK_MS } from './limits.js';
import { PathBook, type Probe } from './path-book.js';
import type { FoundProblem, Moment } from './path-state.js';
import type { Paths } from './paths.js';
import { packProbe, readProbe } from './probe-packet.js';

export interface ProbedPathsOptions {
  readonly kernel: Pick<Kernel, 'run'>;
  readonly sockets: Pick<Sockets, 'bindDatagrams'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
}

/**
 * Sends UDP packets through the tunnel, from the node's own mesh address to those of its peers, and answers
 * theirs. One socket does both: a firewall that only lets answers in takes each other's questions for answers.
 *
 * It answers with 24 bytes, never more than what came, only to peers at their own mesh address, and the table
 * drops what did not come through the tunnel.
 */
export class ProbedPaths implements Paths {
  readonly #options: ProbedPathsOptions;
  readonly #book: PathBook;
  readonly #firewalls: FirewallWatch;
  readonly #listeners = new Set<() => void>();
  #self: CheckedPeer | undefined;
  #mtuBytes = 0;
  #socket: DatagramSocket | undefined;
  /** By mesh address. */
  #peers: ReadonlyMap<string, CheckedPeer> = new Map();
  #tickTimer: Timer;
  #bindTimer: Timer;
  #told: { readonly problems: ReadonlyMap<string, FoundProblem>; readonly isCutOff: boolean };
  /** Answers left in the second that began then, monotonic. */
  #answers = { sinceMs: 0, left: ANSWERS_PER_SECOND };
  #isClosed = false;

  constructor(options: ProbedPathsOptions) {
    this.#options = options;
    this.#book = new PathBook(options.random);
    const { kernel, clock, logger } = options;
    this.#firewalls = new FirewallWatch({
      ...{ run: kernel.run, clock, logger },
      changed: () => this.#tell(),
    });
    this.#told = { problems: this.#book.problems, isCutOff: false };
  }

  get isAnswering(): boolean {
    return this.#socket !== undefined;
  }

  get problems(): ReadonlyMap<string, FoundProblem> {
    return this.#told.problems;
  }

  get isCutOff(): boolean {
    return this.#told.isCutOff;
  }

  get firewalls(): readonly ForeignFirewall[] {
    return this.#firewalls.found;
  }

  async start(self: CheckedPeer, mtuBytes: number): Promise<void> {
    if (this.#self === undefined) this.#firewalls.start();
    const isMoved = self.subnet !== this.#self?.subnet;
    this.#self = self;
    this.#mtuBytes = mtuBytes;
    if (!isMoved && this.#socket !== undefined) return;
    this.#socket?.close();
    this.#socket = undefined;
    await this.#bind();
  }

  async #bind(): Promise<void> {
    const { sockets, clock, logger } = this.#options;
    clock.clearTimeout(this.#bindTimer);
    const self = this.#self!;
    const at = { address: nodeAddress(self.subnet), port: PROBE_PORT };
    try {
      const socket = await sockets.bindDatagrams(at, (data, from) => this.#receive(data, from));
      if (this.#isClosed || this.#self?.subnet !== self.subnet) {
        socket.close();
        return;
      }
      this.#socket = socket;
    } catch (error) {
      logger.warn(
        { err: error, address: at.address, port: `${at.port}/udp` },
        'cannot look at the paths to other nodes: a program of this host has the port; it tries again',
      );
      if (this.#isClosed) return;
      this.#bindTimer = clock.setTimeout(() => void this.#bind(), BIND_RETRY_MS);
      return;
    }
    this.#tell();
    this.#schedule();
  }

  follow(peers: ReadonlyMap<string, CheckedPeer>): void {
    this.#peers = new Map(
      [...peers.values()]
        .filter(({ userspace }) => !userspace)
        .map((peer) => [nodeAddress(peer.subnet) as string, peer]),
    );
    this.#book.follow(this.#self!, peers, this.#now());
    this.#settle();
    this.#schedule();
  }

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#isClosed = true;
    const { clock } = this.#options;
    clock.clearTimeout(this.#tickTimer);
    clock.clearTimeout(this.#bindTimer);
    this.#firewalls.close();
    this.#socket?.close();
    this.#socket = undefined;
  }

  #now(): Moment {
    const { clock } = this.#options;
    return { monotonicMs: clock.monotonicMs(), wallMs: clock.now() };
  }

  #schedule(): void {
    if (this.#isClosed || this.#socket === undefined || this.#book.isIdle) return;
    this.#tickTimer ??= this.#options.clock.setTimeout(() => {
      this.#tickTimer = undefined;
      for (const probe of this.#book.tick(this.#now())) this.#send(probe);
      this.#settle();
      this.#schedule();
    }, TICK_MS);
  }

  #send({ peer, size, id }: Probe): void {
    const packet = { kind: size, from: this.#self!.index, to: peer.index, id };
    this.#socket?.sendTo(packProbe(packet, this.#mtuBytes), placeOf(peer));
  }

  #receive(data: Uint8Array, from: DatagramPeer): void {
    const peer = this.#peers.get(from.address);
    const packet = readProbe(data);
    if (peer === undefined || packet === undefined || from.port !== PROBE_PORT) return;
    if (packet.from !== peer.index || packet.to !== this.#self?.index) return;
    const now = this.#now();
    if (packet.kind === 'answer') {
      const next = this.#book.answered(peer.nodeId, packet.id, now);
      if (next !== undefined) this.#send(next);
      this.#settle();
      return;
    }
    if (!this.#mayAnswer(now.monotonicMs)) return;
    const answer = { kind: 'answer', from: packet.to, to: packet.from, id: packet.id } as const;
    this.#socket?.sendTo(packProbe(answer, this.#mtuBytes), placeOf(peer));
    this.#book.heardFrom(peer.nodeId, now);
  }

  #mayAnswer(nowMs: number): boolean {
    if (nowMs - this.#answers.sinceMs >= 1000) {
      this.#answers = { sinceMs: nowMs, left: ANSWERS_PER_SECOND };
    }
    this.#answers.left -= 1;
    return this.#answers.left >= 0;
  }

  /** Reports what changed. */
  #settle(): void {
    const { problems: before, isCutOff: wasCutOff } = this.#told;
    const { problems: after, isCutOff } = this.#book;
    if (before === after && wasCutOff === isCutOff) return;
    this.#told = { problems: after, isCutOff };
    const { logger } = this.#options;
    for (const [nodeId, { kind }] of after) {
      if (before.get(nodeId)?.kind !== kind)
        logger.warn({ nodeId: showControls(nodeId), kind }, 'the path to a node has a problem');
    }
    for (const nodeId of before.keys()) {
      if (!after.has(nodeId))
        logger.info({ nodeId: showControls(nodeId) }, 'the path to a node works again');
    }
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

function placeOf({ subnet }: CheckedPeer): { address: Ipv4Address; port: number } {
  return { address: nodeAddress(subnet), port: PROBE_PORT };
}
