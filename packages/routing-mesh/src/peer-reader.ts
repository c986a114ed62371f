import type { Subnet } from '@swarm/api';
import { BadPart } from './bad-part.js';
import { type CheckedPeer, readPeer } from './checked.js';
import { type Faults, nameOf, note } from './faults.js';

/**
 * Reads the peers of a state. Two cannot share an index, and two tunnel peers cannot share an address. The node
 * itself has priority, then the one that had it in the previous state, then the first named; the other is left out.
 */
export class PeerReader {
  readonly #ingress: Subnet;
  #peers: ReadonlyMap<string, CheckedPeer> = new Map();
  /** What `#peers` was made from. */
  #source: { readonly self: CheckedPeer | undefined; readonly peers: readonly unknown[] } = {
    self: undefined,
    peers: [],
  };
  #faults: Faults = new Map();

  constructor(ingress: Subnet) {
    this.#ingress = ingress;
  }

  get peers(): ReadonlyMap<string, CheckedPeer> {
    return this.#peers;
  }

  /** What is wrong with those left out. */
  get faults(): ReadonlyMap<string, string> {
    return this.#faults;
  }

  /**
   * Reads peers again only if one of them is another object than before.
   * @returns whether endpoints have to be read again
   */
  follow(peers: readonly unknown[], self: CheckedPeer | undefined): boolean {
    const source = this.#source;
    const same =
      source.self === self &&
      source.peers.length === peers.length &&
      peers.every((peer, i) => peer === source.peers[i]);
    if (same) return false;
    this.#source = { self, peers: [...peers] };
    this.#faults = new Map();
    const before = this.#peers;
    this.#peers = this.#read(peers, self, this.#faults);
    return !samePlaces(before, this.#peers);
  }

  #read(
    peers: readonly unknown[],
    self: CheckedPeer | undefined,
    faults: Faults,
  ): ReadonlyMap<string, CheckedPeer> {
    const read: CheckedPeer[] = [];
    for (const value of peers) {
      try {
        read.push(readPeer(value, this.#ingress));
      } catch (error) {
        note(faults, 'peer', nameOf(value, 'nodeId'), error);
      }
    }
    const before = this.#peers;
    const rank = (peer: CheckedPeer): number => {
      if (peer.nodeId === self?.nodeId) return 0;
      const known = before.get(peer.nodeId);
      return known?.index === peer.index && known.address === peer.address ? 1 : 2;
    };
    const kept = new Map<string, CheckedPeer>();
    const byIndex = new Map<number, CheckedPeer>();
    const byAddress = new Map<string, CheckedPeer>();
    for (const wanted of [0, 1, 2]) {
      for (const peer of read) {
        if (rank(peer) !== wanted) continue;
        const other =
          kept.get(peer.nodeId) ??
          byIndex.get(peer.index) ??
          (peer.userspace ? undefined : byAddress.get(peer.address));
        if (other !== undefined) {
          const same = other.index === peer.index ? `index ${peer.index}` : peer.address;
          const why = new BadPart(`node ${other.nodeId} already has ${same}`);
          if (other.nodeId !== peer.nodeId) note(faults, 'peer', peer.nodeId, why);
          else faults.set(`peer ${peer.nodeId}`, 'it is named twice; the first counts');
          continue;
        }
        kept.set(peer.nodeId, peer);
        byIndex.set(peer.index, peer);
        if (!peer.userspace) byAddress.set(peer.address, peer);
      }
    }
    return kept;
  }
}

/** Whether reading the endpoints gives the same result with either. */
function samePlaces(
  a: ReadonlyMap<string, CheckedPeer>,
  b: ReadonlyMap<string, CheckedPeer>,
): boolean {
  if (a.size !== b.size) return false;
  for (const [nodeId, peer] of b) {
    const other = a.get(nodeId);
    if (other === undefined || other.index !== peer.index) return false;
    if (other.address !== peer.address || other.userspace !== peer.userspace) return false;
  }
  return true;
}
