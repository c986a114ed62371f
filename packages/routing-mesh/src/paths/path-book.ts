import type { CheckedPeer } from '../checked.js';
import {
  ALL_PAIRS_LIMIT,
  ANSWER_TIMEOUT_MS,
  PROBE_INTERVAL_MS,
  PROBES_PER_TICK,
  SUSPECT_INTERVAL_MS,
  TICK_MS,
  TURN_MS,
  TURNS_LIMIT,
} from './limits.js';
import { type FoundProblem, type Moment, PathState } from './path-state.js';
import { probeId } from './probe-packet.js';

/** A packet to send. */
export interface Probe {
  readonly peer: CheckedPeer;
  readonly size: 'small' | 'full';
  readonly id: string;
}

interface Watched {
  peer: CheckedPeer;
  readonly state: PathState;
  /** The packet that no answer has come to. */
  pending: { readonly probe: Probe; readonly sent: Moment } | undefined;
  /** Monotonic. */
  dueMs: number;
}

/** Why a peer is looked at: what decides comes first. */
type Queue = Map<string, Watched>;

/**
 * Decides which peer gets a packet when, and what answers mean. Has no clock and sends nothing.
 *
 * A cluster of up to {@link ALL_PAIRS_LIMIT} nodes looks at all pairs all the time. In a larger one, pairs take
 * turns: in turn t, the nodes at the places i and j look at each other where i + j is t modulo their number, so
 * both do at about the same time. A firewall that only lets answers in then lets both through. Paths on which
 * something was lost are looked at more often, with what is left of the budget.
 *
 * What a tick costs depends on the packets that it sends, not on the number of peers.
 */
export class PathBook {
  readonly #random: () => number;
  /** Peers that answer probes, by node id. */
  readonly #watched = new Map<string, Watched>();
  /** In the order of their dates: each has one interval. */
  readonly #suspect: Queue = new Map();
  readonly #failed: Queue = new Map();
  readonly #well: Queue = new Map();
  /** Packets without an answer, the oldest first. */
  readonly #pending: Queue = new Map();
  /** Ids of all nodes of the tunnel by place, in the order of their indexes; empty in small clusters. */
  #places: readonly string[] = [];
  #place = 0;
  #problems: ReadonlyMap<string, FoundProblem> = new Map();
  /** Peers to which packets of full size get. */
  readonly #reached = new Set<string>();
  #lastTickMs: number | undefined;
  #lastTurn: number | undefined;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** What is wrong with which paths, by node id. Another object after each change. */
  get problems(): ReadonlyMap<string, FoundProblem> {
    return this.#problems;
  }

  /** Whether it reaches fewer peers than it does not reach, of those that it has looked at. */
  get isCutOff(): boolean {
    return this.#problems.size > this.#reached.size;
  }

  /** Whether there is nobody to look at. */
  get isIdle(): boolean {
    return this.#watched.size === 0;
  }

  /**
   * Takes the peers that have a way through the tunnel. Forgets what it knows of a peer that is down. Keeps what
   * it knows of one that no longer says that it answers, as when its daemon restarts, and lets it rest.
   */
  follow(self: CheckedPeer, peers: ReadonlyMap<string, CheckedPeer>, now: Moment): void {
    for (const [nodeId, watched] of this.#watched) {
      const peer = peers.get(nodeId);
      if (peer !== undefined && isUp(peer) && peer.index === watched.peer.index) {
        watched.peer = peer;
      } else this.#forget(nodeId);
    }
    const others = [...peers.values()].filter((peer) => peer.nodeId !== self.nodeId);
    const fresh = others.filter(
      (peer) => isUp(peer) && peer.probed && !this.#watched.has(peer.nodeId),
    );
    const tunnelled = others.filter(({ userspace }) => !userspace);
    const isLarge = tunnelled.length >= ALL_PAIRS_LIMIT;
    const byIndex = isLarge ? [self, ...tunnelled].sort((a, b) => a.index - b.index) : [];
    this.#places = byIndex.map(({ nodeId }) => nodeId);
    this.#place = this.#places.indexOf(self.nodeId);
    if (isLarge) this.#well.clear();
    fresh.forEach((peer, i) => {
      const offsetMs = (i * PROBE_INTERVAL_MS) / fresh.length;
      const dueMs = now.monotonicMs + offsetMs;
      const watched = { peer, state: new PathState(), pending: undefined, dueMs };
      this.#watched.set(peer.nodeId, watched);
      if (!isLarge) this.#well.set(peer.nodeId, watched);
    });
    if (isLarge) return;
    for (const [nodeId, watched] of this.#watched) {
      if (this.#isQueued(nodeId)) continue;
      watched.dueMs = now.monotonicMs;
      this.#well.set(nodeId, watched);
    }
  }

  /** What to send now. Call it every {@link TICK_MS}. */
  tick(now: Moment): readonly Probe[] {
    const lastMs = this.#lastTickMs;
    this.#lastTickMs = now.monotonicMs;
    if (lastMs !== undefined) this.#expire(now, lastMs - ANSWER_TIMEOUT_MS);
    const probes: Probe[] = [];
    this.#take(this.#suspect, now, probes);
    this.#takeTurns(now, probes);
    this.#take(this.#well, now, probes);
    this.#take(this.#failed, now, probes);
    return probes;
  }

  /**
   * Takes an answer. Ignores one that nobody waits for.
   * @returns the packet of full size that follows a small one
   */
  answered(nodeId: string, id: string, now: Moment): Probe | undefined {
    const watched = this.#watched.get(nodeId);
    const pending = watched?.pending;
    if (watched === undefined || pending?.probe.id !== id) return undefined;
    this.#pending.delete(nodeId);
    watched.pending = undefined;
    watched.state.answered(pending.probe.size);
    if (pending.probe.size === 'small') return this.#send(watched, 'full', now);
    this.#queue(watched, pending.sent.monotonicMs, now);
    return undefined;
  }

  /** A packet came from this peer: if the path to it has failed, it may have mended. */
  heardFrom(nodeId: string, now: Moment): void {
    const watched = this.#failed.get(nodeId);
    if (watched === undefined || watched.pending !== undefined) return;
    if (now.monotonicMs < watched.dueMs - SUSPECT_INTERVAL_MS + TICK_MS) return;
    this.#failed.delete(nodeId);
    watched.dueMs = now.monotonicMs;
    this.#suspect.set(nodeId, watched);
  }

  /**
   * Counts packets as lost that nobody answered in time.
   * @param sentUntilMs a timeout before the last tick. Sockets are read between two ticks, but after a pause of
   *   this process not before the next one: answers that came in time may still wait
   */
  #expire(now: Moment, sentUntilMs: number): void {
    for (const [nodeId, watched] of this.#pending) {
      const { probe, sent } = watched.pending!;
      if (sent.monotonicMs > sentUntilMs) break;
      this.#pending.delete(nodeId);
      watched.pending = undefined;
      if (watched.peer.probed) watched.state.lost(probe.size, sent, now);
      this.#queue(watched, sent.monotonicMs, now);
    }
  }

  /** Those that are due, as far as the budget goes. */
  #take(queue: Queue, now: Moment, probes: Probe[]): void {
    for (const [nodeId, watched] of queue) {
      if (probes.length >= PROBES_PER_TICK || watched.dueMs > now.monotonicMs) return;
      queue.delete(nodeId);
      if (watched.peer.probed) probes.push(this.#send(watched, 'small', now));
      else this.#queue(watched, now.monotonicMs, now);
    }
  }

  #takeTurns(now: Moment, probes: Probe[]): void {
    const size = this.#places.length;
    const turn = Math.floor(now.wallMs / TURN_MS);
    const from = Math.max((this.#lastTurn ?? turn - 1) + 1, turn - TURNS_LIMIT + 1);
    this.#lastTurn = turn;
    for (let t = from; size > 0 && t <= turn; t++) {
      if (probes.length >= PROBES_PER_TICK) return;
      const place = (((t - this.#place) % size) + size) % size;
      const watched = this.#watched.get(this.#places[place]!);
      if (watched === undefined || !watched.peer.probed) continue;
      if (watched.pending !== undefined || this.#isQueued(watched.peer.nodeId)) continue;
      probes.push(this.#send(watched, 'small', now));
    }
  }

  #send(watched: Watched, size: Probe['size'], sent: Moment): Probe {
    const probe = { peer: watched.peer, size, id: probeId(this.#random) };
    watched.pending = { probe, sent };
    this.#pending.set(watched.peer.nodeId, watched);
    return probe;
  }

  /** Has the peer looked at again, by what is known of it. */
  #queue(watched: Watched, sentMs: number, now: Moment): void {
    const { state, peer } = watched;
    const { nodeId } = peer;
    this.#note(nodeId, state.problem);
    if (state.isReached) this.#reached.add(nodeId);
    else this.#reached.delete(nodeId);
    // A path with a problem is used again within two seconds of its mending: names of tasks behind it come back.
    const isBad = state.isSuspect || state.problem !== undefined;
    const intervalMs = isBad ? SUSPECT_INTERVAL_MS : PROBE_INTERVAL_MS;
    watched.dueMs = Math.max(sentMs + intervalMs, now.monotonicMs);
    if (state.isSuspect) this.#suspect.set(nodeId, watched);
    else if (state.problem !== undefined) this.#failed.set(nodeId, watched);
    else if (this.#places.length === 0) this.#well.set(nodeId, watched);
  }

  #isQueued(nodeId: string): boolean {
    return [this.#suspect, this.#failed, this.#well, this.#pending].some((q) => q.has(nodeId));
  }

  #note(nodeId: string, problem: FoundProblem | undefined): void {
    if (this.#problems.get(nodeId) === problem) return;
    const problems = new Map(this.#problems);
    if (problem === undefined) problems.delete(nodeId);
    else problems.set(nodeId, problem);
    this.#problems = problems;
  }

  #forget(nodeId: string): void {
    this.#watched.delete(nodeId);
    this.#reached.delete(nodeId);
    this.#note(nodeId, undefined);
    for (const q of [this.#suspect, this.#failed, this.#well, this.#pending]) q.delete(nodeId);
  }
}

function isUp({ down, userspace }: CheckedPeer): boolean {
  return !down && !userspace;
}
