import type { IpAddress } from '@swarm/api';

/** What a living node says of its place in the network. */
export interface DataPathClaim {
  /** Where its connection comes from, as far as that is known. */
  readonly from: IpAddress | undefined;
  /** Where it wants its tunnel packets; undefined when nothing is tunnelled to it. */
  readonly address: IpAddress | undefined;
}

/**
 * Which node has which data path address: one address is one node's, or its tunnel packets could be led
 * to another. Only the leader decides, and only living nodes take part: what a node that is down or
 * removed had is free.
 *
 * An address goes to the node whose connection comes from it; that is proof, and one that stands is better
 * than one that ended. Among others the first keeps it. It is not given to a node that connects from elsewhere while another node connects from it.
 *
 * Invariant: `#holders` holds the outcome of `#elect` for every address that is claimed.
 */
export class DataPathClaims {
  readonly #claims = new Map<string, DataPathClaim>();
  /** Who wants an address, in the order they came. */
  readonly #claimants = new Map<IpAddress, Set<string>>();
  readonly #connected = new Map<IpAddress, Set<string>>();
  /** Those whose claim is of a connection that ended. */
  readonly #away = new Set<string>();
  readonly #holders = new Map<IpAddress, string>();

  /**
   * Takes note of what a node says, or with undefined that it does not live any more.
   * @returns other nodes that gained or lost their address by it
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
   * The node has no connection any more. It keeps its address until it is down, but not from a node that
   * connects from there now: most likely the same host, which joined again.
   * @returns as `set`
   */
  disconnected(nodeId: string): string[] {
    const address = this.#claims.get(nodeId)?.address;
    if (address === undefined) return [];
    this.#away.add(nodeId);
    return this.#electAll(new Set([address]), nodeId);
  }

  /** The node that keeps another from the address it wants; undefined when it has it, or wants none. */
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

  /** Whoever holds it comes first, as long as it wants it. */
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
