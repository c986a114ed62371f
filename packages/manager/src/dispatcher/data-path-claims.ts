import type { IpAddress } from '@swarm/api';

/** What a living node says about its place in the network. */
export interface DataPathClaim {
  /** Where its connection comes from; undefined while unknown. */
  readonly from: IpAddress | undefined;
  /** Where it wants its tunnel packets; undefined when nothing is tunnelled to it. */
  readonly address: IpAddress | undefined;
}

/**
 * Which node has which data path address. An address belongs to one node, or another node could get its
 * tunnel packets. Only the leader decides, and only among living nodes: the address of a node that is down
 * or removed is free.
 *
 * An address goes to the node whose connection comes from it, since that is proof; an open connection beats
 * one that ended. Among other nodes, the first keeps it. A node that connects from elsewhere does not get an
 * address from which another node connects.
 *
 * Invariant: `#holders` holds the outcome of `#elect` for every address that is claimed.
 */
export class DataPathClaims {
  readonly #claims = new Map<string, DataPathClaim>();
  /** Who wants an address, in the order they came. */
  readonly #claimants = new Map<IpAddress, Set<string>>();
  readonly #connected = new Map<IpAddress, Set<string>>();
  /** Nodes whose connection ended. */
  readonly #away = new Set<string>();
  readonly #holders = new Map<IpAddress, string>();

  /**
   * Records a node's claim; with undefined, that the node no longer lives.
   * @returns other nodes that gained or lost their address through this
   */
  set(nodeId: string, claim: DataPathClaim | undefined): string[] {
    const before = this.#claims.get(nodeId);
    const touched = new Set<IpAddress>();
    for (const address of [before?.address, before?.from, claim?.address, claim?.from]) {
      if (address !== undefined) touched.add(address);
    }
    if (claim === undefined) this.#claims.delete(nodeId);
    else this.#claims.set(nodeId, claim);
    if (before?.address !== claim?.address) {
      drop(this.#claimants, before?.address, nodeId);
      put(this.#claimants, claim?.address, nodeId);
    }
    if (before?.from !== claim?.from) {
      drop(this.#connected, before?.from, nodeId);
      put(this.#connected, claim?.from, nodeId);
    }
    this.#away.delete(nodeId);
    return this.#electAll(touched, nodeId);
  }

  #electAll(touched: ReadonlySet<IpAddress>, nodeId: string): string[] {
    const changed = new Set<string>();
    for (const address of touched) {
      const held = this.#holders.get(address);
      const holds = this.#elect(address);
      if (held === holds) continue;
      if (holds === undefined) this.#holders.delete(address);
      else this.#holders.set(address, holds);
      for (const each of [held, holds]) {
        if (each !== undefined && each !== nodeId && this.#claims.has(each)) changed.add(each);
      }
    }
    return [...changed];
  }

  /**
   * Records that the node's connection ended. It keeps its address until it is down, unless another node
   * connects from there: most likely the same host, which joined again.
   * @returns as `set`
   */
  disconnected(nodeId: string): string[] {
    const address = this.#claims.get(nodeId)?.address;
    if (address === undefined) return [];
    this.#away.add(nodeId);
    return this.#electAll(new Set([address]), nodeId);
  }

  /** The node that keeps this one from its address; undefined when it has the address, or wants none. */
  inTheWayOf(nodeId: string): string | undefined {
    const address = this.#claims.get(nodeId)?.address;
    if (address === undefined) return undefined;
    const holder = this.#holders.get(address);
    if (holder === nodeId) return undefined;
    return holder ?? this.#others(address, nodeId);
  }

  #elect(address: IpAddress): string | undefined {
    const held = this.#holders.get(address);
    let away: string | undefined;
    let first: string | undefined;
    for (const nodeId of this.#ordered(address, held)) {
      if (this.#claims.get(nodeId)?.from === address) {
        if (!this.#away.has(nodeId)) return nodeId;
        away ??= nodeId;
      } else if (this.#others(address, nodeId) === undefined) first ??= nodeId;
    }
    return away ?? first;
  }

  /** The claimants of an address: the holder first, while it still wants it. */
  *#ordered(address: IpAddress, held: string | undefined): Generator<string> {
    const claimants = this.#claimants.get(address);
    if (claimants === undefined) return;
    if (held !== undefined && claimants.has(held)) yield held;
    for (const nodeId of claimants) if (nodeId !== held) yield nodeId;
  }

  /** Another node that connects from the address. */
  #others(address: IpAddress, nodeId: string): string | undefined {
    for (const other of this.#connected.get(address) ?? []) if (other !== nodeId) return other;
    return undefined;
  }
}

function put(map: Map<IpAddress, Set<string>>, key: IpAddress | undefined, nodeId: string): void {
  if (key === undefined) return;
  const set = map.get(key);
  if (set === undefined) map.set(key, new Set([nodeId]));
  else set.add(nodeId);
}

function drop(map: Map<IpAddress, Set<string>>, key: IpAddress | undefined, nodeId: string): void {
  if (key === undefined) return;
  const set = map.get(key);
  set?.delete(nodeId);
  if (set?.size === 0) map.delete(key);
}
