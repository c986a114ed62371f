import type { Clock, NodeRole, Timer } from '@swarm/api';
import { type AddressGroups, TokenBucket } from '@swarm/manager/assembly';
import { Crowd } from './crowd.js';

/**
 * A handshake costs this process 1 to 3 ms, and many at once would delay Raft's heartbeats until another
 * member is elected. So a few begin at a time, with a turn of the event loop in between: on a slower
 * machine turns take longer, and fewer begin.
 */
const TURN_MS = 10;

/**
 * Handshakes from addresses of nodes, and from others. After a change of leader all agents come back, about
 * as fast as one core can serve them: 10,000 in 20 s or more. Managers go first: without their connections
 * there is no leader to come back to. Strangers get at most a tenth of a core.
 */
const KNOWN = { perSecond: 500, burst: 16 };
const STRANGERS = { perSecond: 100, burst: 16 };
/** From one host. A compromised node must not use up everybody's turns. */
const HOST = { perSecond: 100, burst: 64 };

/** A connection that waits for its handshake. */
export interface Waiting {
  readonly groups: AddressGroups;
  /** Role of the nodes at its address; undefined for a stranger. */
  readonly roleAtAddress: NodeRole | undefined;
  /** From this host. Local processes need no network to keep it busy. */
  readonly isLocal: boolean;
}

/** Connections before their TLS handshake. Networks take turns, and so do the hosts in them. */
export class HandshakeQueue<C extends Waiting> {
  readonly #clock: Pick<Clock, 'monotonicMs' | 'setTimeout' | 'clearTimeout'>;
  readonly #begin: (connection: C) => void;
  /** In the order in which they are served. */
  readonly #lanes: Readonly<Record<NodeRole | 'stranger', Lane<C>>>;
  /** Only of hosts with recent handshakes, the least recently used first. */
  readonly #hosts = new Map<string, TokenBucket>();
  #timer: Timer | undefined;
  #stopped = false;

  constructor(
    clock: Pick<Clock, 'monotonicMs' | 'setTimeout' | 'clearTimeout'>,
    begin: (connection: C) => void,
  ) {
    this.#clock = clock;
    this.#begin = begin;
    const nowMs = clock.monotonicMs();
    const known = new TokenBucket(KNOWN, nowMs);
    this.#lanes = {
      manager: { waiting: new Crowd(), tokens: known },
      worker: { waiting: new Crowd(), tokens: known },
      stranger: { waiting: new Crowd(), tokens: new TokenBucket(STRANGERS, nowMs) },
    };
  }

  /** How many wait. */
  get size(): number {
    const { manager, worker, stranger } = this.#lanes;
    return manager.waiting.size + worker.waiting.size + stranger.waiting.size;
  }

  /** Begins the handshake, now or when its turn comes. */
  add(connection: C): void {
    this.#laneOf(connection).waiting.add(connection, connection.groups);
    if (this.#timer === undefined) this.#serve();
  }

  /** Removes a connection that has closed, if it waits. */
  remove(connection: C): void {
    this.#laneOf(connection).waiting.remove(connection, connection.groups);
  }

  stop(): void {
    this.#stopped = true;
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #serve(): void {
    this.#timer = undefined;
    if (this.#stopped) return;
    const nowMs = this.#clock.monotonicMs();
    this.#forgetRested(nowMs);
    for (const lane of Object.values(this.#lanes)) this.#serveLane(lane, nowMs);
    if (this.size > 0) this.#timer = this.#clock.setTimeout(() => this.#serve(), TURN_MS);
  }

  #serveLane({ waiting, tokens }: Lane<C>, nowMs: number): void {
    while (tokens.has(nowMs)) {
      const next = waiting.next((connection) => this.#mayBegin(connection, nowMs));
      if (next === undefined) return;
      tokens.spend(1, nowMs);
      this.#count(next, nowMs);
      this.#begin(next);
    }
  }

  #mayBegin({ groups: [, host], isLocal }: C, nowMs: number): boolean {
    return isLocal || (this.#hosts.get(host)?.has(nowMs) ?? true);
  }

  #count({ groups: [, host], isLocal }: C, nowMs: number): void {
    if (isLocal) return;
    const tokens = this.#hosts.get(host) ?? new TokenBucket(HOST, nowMs);
    tokens.spend(1, nowMs);
    this.#hosts.delete(host);
    this.#hosts.set(host, tokens);
  }

  #forgetRested(nowMs: number): void {
    for (const [host, tokens] of this.#hosts) {
      if (!tokens.isFull(nowMs)) return;
      this.#hosts.delete(host);
    }
  }

  #laneOf({ roleAtAddress }: C): Lane<C> {
    return this.#lanes[roleAtAddress ?? 'stranger'];
  }
}

interface Lane<C> {
  readonly waiting: Crowd<C>;
  readonly tokens: TokenBucket;
}
