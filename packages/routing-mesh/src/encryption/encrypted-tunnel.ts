import type { IpAddress, Logger, MeshEncryption, Subnet } from '@swarm/api';
import type { CheckedOverlay, CheckedPeer } from '../checked.js';
import { ENCRYPTION_EXTRA_BYTES, type LinkName, type TaskId } from '../layout.js';
import type { FoundLink } from '../links/task-links.js';
import { isIn } from '../overlay/local-networks.js';
import type { NetworkTouches, NetworkView, NetworkViews } from '../overlay/network-view.js';
import type { OverlaySlice } from '../overlay/overlay-networks.js';
import type { ClearWall } from './clear-wall.js';
import type { EncryptedPeer, EncryptionMeans } from './encryption-means.js';
import type { TunnelKeyPair } from './keys.js';
import type { TrafficEncryption } from './traffic-encryption.js';

export interface EncryptedTunnelOptions {
  /** What this node can do, best first; at least one. All nodes prefer them in the same order. */
  readonly means: readonly EncryptionMeans[];
  readonly wall: Pick<ClearWall, 'guard' | 'look' | 'repair' | 'close'>;
  readonly keys: TunnelKeyPair;
  /** The one to begin with: of an earlier process that goes on, or a new one. */
  readonly epoch: string;
  /** Draws the name of an epoch that this node never had. */
  readonly newEpoch: () => string;
  readonly logger: Logger;
}

/**
 * Encrypts by the best means that this node and another have in common: both decide the same from what both announce, so
 * nothing is negotiated and no packet of another means is ever needed between them.
 */
export class EncryptedTunnel implements TrafficEncryption {
  readonly problem = '';
  readonly #options: EncryptedTunnelOptions;
  readonly #logger: Logger;
  #keys: TunnelKeyPair;
  #epoch: string;
  #self: CheckedPeer | undefined;
  #mtuBytes = 0;
  readonly #listeners = new Set<() => void>();
  /** Subnets of encrypted networks, of the state. */
  #networks: readonly Subnet[] = [];
  /** Those that tasks have links to. */
  readonly #covered = new Map<TaskId, readonly Subnet[]>();
  /** Node by address of a member. */
  #owners: ReadonlyMap<IpAddress, string> = new Map();
  /** Why this node does not lead to others, by node id; logged once. */
  #problems: ReadonlyMap<string, string> = new Map();

  constructor(options: EncryptedTunnelOptions) {
    this.#options = options;
    this.#logger = options.logger;
    this.#keys = options.keys;
    this.#epoch = options.epoch;
  }

  get offer(): MeshEncryption {
    const means = this.#options.means.map(({ name }) => name);
    return { publicKey: this.#keys.publicKey, epoch: this.#epoch, means };
  }

  get mtuBytes(): number {
    return this.#mtuBytes;
  }

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async start(self: CheckedPeer, mtuBytes: number): Promise<void> {
    this.#self = self;
    this.#mtuBytes = mtuBytes - ENCRYPTION_EXTRA_BYTES;
    await this.#startMeans();
  }

  async reach({ peers, networks, touched }: OverlaySlice): Promise<void> {
    if (!isTouched(networks, touched)) return;
    const encrypted = [...networks.values()].filter(({ overlay }) => overlay.isEncrypted);
    this.#networks = encrypted.flatMap(({ overlay }) => overlay.subnets);
    // First: nothing may leave in clear while it is led elsewhere.
    await this.#guard();
    const addresses = this.#addressesByNode(encrypted);
    let problems = await this.#hold(peers, addresses);
    if (this.#options.means.some(({ needsEpoch }) => needsEpoch)) {
      await this.#changeEpoch();
      problems = await this.#hold(peers, addresses);
    }
    for (const nodeId of addresses.keys()) {
      const peer = peers.get(nodeId);
      if (peer !== undefined && this.#meansTo(peer) === undefined) {
        problems.set(nodeId, this.#difference(peer));
      }
    }
    this.#report(problems);
  }

  /** @returns why, by node, for those that it could not lead to */
  async #hold(
    peers: ReadonlyMap<string, CheckedPeer>,
    addresses: ReadonlyMap<string, ReadonlySet<IpAddress>>,
  ): Promise<Map<string, string>> {
    const problems = new Map<string, string>();
    const known = new Set(peers.keys());
    for (const means of this.#options.means) {
      const led = new Map<string, EncryptedPeer>();
      for (const [nodeId, own] of addresses) {
        const peer = peers.get(nodeId);
        if (peer?.encryption === undefined || this.#meansTo(peer) !== means) continue;
        led.set(nodeId, { peer, ...peer.encryption, addresses: own });
      }
      for (const [nodeId, why] of await means.hold(led, known)) problems.set(nodeId, why);
    }
    return problems;
  }

  deviceTo(peer: CheckedPeer): LinkName | undefined {
    return this.#meansTo(peer)?.device;
  }

  async cover(taskId: TaskId, overlays: readonly CheckedOverlay[]): Promise<void> {
    const subnets = overlays.flatMap((one) => (one.isEncrypted ? one.subnets : []));
    if (subnets.length === 0) this.#covered.delete(taskId);
    else this.#covered.set(taskId, subnets);
    await this.#guard();
  }

  async uncover(taskIds: readonly TaskId[]): Promise<void> {
    for (const taskId of taskIds) this.#covered.delete(taskId);
    await this.#guard();
  }

  async adopt(links: readonly FoundLink[]): Promise<void> {
    const sealed = links.filter(({ traits }) => traits?.isEncrypted === true);
    if (sealed.length === 0) return;
    const held = await this.#options.wall.look();
    for (const { taskId, addresses } of sealed) {
      if (taskId === undefined) continue;
      const subnets = held.filter((subnet) => addresses.some((one) => isIn(subnet, one)));
      this.#covered.set(taskId, [...(this.#covered.get(taskId) ?? []), ...subnets]);
    }
  }

  async #guard(): Promise<void> {
    const subnets = [...this.#networks, ...[...this.#covered.values()].flat()];
    const byText = new Map(subnets.map((subnet) => [`${subnet}`, subnet]));
    await this.#options.wall.guard([...byText.values()]);
  }

  /**
   * What each other node has of these networks. An address that several claim stays with the one that had it, as its
   * route does; one outside of its network is nobody's.
   */
  #addressesByNode(networks: readonly NetworkView[]): Map<string, Set<IpAddress>> {
    const owners = new Map<IpAddress, string>();
    for (const { overlay, members } of networks) {
      for (const { peer, addresses } of members.values()) {
        if (peer === undefined || peer.nodeId === this.#self?.nodeId) continue;
        for (const address of addresses) {
          if (!overlay.subnets.some((subnet) => isIn(subnet, address))) continue;
          const hadIt = this.#owners.get(address) === peer.nodeId;
          if (hadIt || !owners.has(address)) owners.set(address, peer.nodeId);
        }
      }
    }
    const addresses = new Map<string, Set<IpAddress>>();
    for (const [address, nodeId] of owners) {
      const own = addresses.get(nodeId);
      if (own === undefined) addresses.set(nodeId, new Set([address]));
      else own.add(address);
    }
    this.#owners = owners;
    return addresses;
  }

  async changeKeys(keys: TunnelKeyPair): Promise<void> {
    this.#keys = keys;
    await this.#changeEpoch();
  }

  async repair(): Promise<boolean> {
    if (this.#self === undefined) return false;
    let isDamaged = await this.#options.wall.repair();
    for (const means of this.#options.means) {
      const state = await means.check();
      if (state === 'whole') continue;
      isDamaged = true;
      if (state === 'gone') await this.#changeEpoch();
    }
    return isDamaged;
  }

  async close({ keep }: { readonly keep: boolean }): Promise<void> {
    if (!keep) for (const means of this.#options.means) await means.close();
    await this.#options.wall.close({ keep });
    this.#self = undefined;
  }

  async #changeEpoch(): Promise<void> {
    this.#epoch = this.#options.newEpoch();
    if (this.#self !== undefined) await this.#startMeans();
    for (const listener of this.#listeners) listener();
  }

  async #startMeans(): Promise<void> {
    const own = {
      self: this.#self!,
      keys: this.#keys,
      epoch: this.#epoch,
      mtuBytes: this.#mtuBytes,
    };
    for (const means of this.#options.means) await means.start(own);
  }

  #meansTo({ encryption }: CheckedPeer): EncryptionMeans | undefined {
    return this.#options.means.find(({ name }) => encryption?.means.includes(name));
  }

  #difference({ encryption }: CheckedPeer): string {
    if (encryption === undefined) return 'it cannot encrypt, or has not said so yet';
    const own = this.#options.means.map(({ name }) => name).join(' and ');
    const others = encryption.means.join(' and ') || 'nothing';
    return `it can use ${others}, and this node ${own}`;
  }

  #report(problems: ReadonlyMap<string, string>): void {
    for (const [nodeId, why] of problems) {
      if (this.#problems.get(nodeId) === why) continue;
      this.#logger.warn(
        { nodeId, why },
        `nothing leads to encrypted networks on node ${nodeId}: ${why}`,
      );
    }
    this.#problems = problems;
  }
}

/** Whether anything may differ on an encrypted network; one that is gone may have been one. */
function isTouched(networks: NetworkViews, touched: NetworkTouches): boolean {
  if (touched === undefined) return true;
  return [...touched.keys()].some((id) => networks.get(id)?.overlay.isEncrypted !== false);
}
