import type { Logger } from '@swarm/api';
import { CommandError } from '../kernel/command.js';
import type { Kernel } from '../kernel/kernel.js';
import type { NetlinkSocket } from '../kernel/netlink.js';
import { type Line, line, words } from '../kernel/words.js';
import { WIREGUARD_DEVICE } from '../layout.js';
import { familyId } from '../netlink/generic.js';
import { NLM_F_DUMP } from '../netlink/message.js';
import {
  getDevice,
  readDevice,
  setDevice,
  type DeviceChange,
  type DeviceState,
  type TunnelKey,
  WIREGUARD_FAMILY,
} from '../netlink/wireguard.js';
import type { EncryptedPeer, EncryptedSelf, EncryptionMeans } from './encryption-means.js';
import { divideChanges, NOBODY, type PlannedPeer, planPeers } from './wireguard-plan.js';

/**
 * WireGuard: one device, and a peer for each node. Which addresses a peer may have decides both where packets go and from
 * whom they are taken. Peers agree on keys for packets by themselves, and anew every two minutes.
 */
export class WireguardMeans implements EncryptionMeans {
  readonly name = 'wireguard';
  readonly device = WIREGUARD_DEVICE;
  readonly needsEpoch = false;
  readonly #kernel: Kernel;
  readonly #logger: Logger;
  /** UDP, the same on all nodes. */
  readonly #port: number;
  #socket: { readonly netlink: NetlinkSocket; readonly family: number } | undefined;
  #held = new Map<TunnelKey, PlannedPeer>();
  /** Node by key, of this process. */
  #owners: ReadonlyMap<TunnelKey, string> = new Map();
  #own: EncryptedSelf | undefined;

  constructor(options: { kernel: Kernel; logger: Logger; port: number }) {
    this.#kernel = options.kernel;
    this.#logger = options.logger;
    this.#port = options.port;
  }

  async probe(): Promise<string | undefined> {
    try {
      await this.#open();
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  }

  /** The kernel counts by itself. */
  async earlierEpoch(): Promise<undefined> {
    return undefined;
  }

  async start(own: EncryptedSelf): Promise<void> {
    this.#own = own;
    await this.#open();
    let state = await this.#read();
    if (state === undefined) {
      await this.#batch([line`link add ${WIREGUARD_DEVICE} type wireguard`]);
      state = { publicKey: undefined, listenPort: 0, peers: [] };
    }
    const { keys, mtuBytes } = own;
    if (state.publicKey !== keys.publicKey) this.#set({ privateKey: keys.privateKey });
    if (state.listenPort !== this.#port) this.#set({ listenPort: this.#port });
    await this.#batch([line`link set ${WIREGUARD_DEVICE} mtu ${mtuBytes} up`]);
    this.#follow(state);
  }

  async hold(peers: ReadonlyMap<string, EncryptedPeer>): Promise<ReadonlyMap<string, string>> {
    const problems = new Map<string, string>();
    const owners = new Map<TunnelKey, string>();
    const wanted = new Map<TunnelKey, PlannedPeer>();
    // A node that says another's key takes nothing from that one.
    const hasKept = ([nodeId, { publicKey, peer }]: [string, EncryptedPeer]): boolean => {
      const owner = this.#owners.get(publicKey);
      if (owner !== undefined) return owner === nodeId;
      // Of an earlier process, only its address is known.
      return this.#held.get(publicKey)?.endpoint?.address === peer.address;
    };
    const inOrder = [...peers].sort((a, b) => Number(hasKept(b)) - Number(hasKept(a)));
    for (const [nodeId, { publicKey, peer, addresses }] of inOrder) {
      const owner = owners.get(publicKey);
      if (publicKey === this.#own?.keys.publicKey) {
        problems.set(nodeId, 'it has the key of this node');
      } else if (publicKey === NOBODY) {
        problems.set(nodeId, 'its key is one that nobody can have');
      } else if (owner !== undefined) {
        problems.set(nodeId, `it has the key of node ${owner}`);
      } else {
        owners.set(publicKey, nodeId);
        const endpoint = { address: peer.address, port: this.#port };
        wanted.set(publicKey, { endpoint, allowed: addresses });
      }
    }
    const changes = planPeers(this.#held, wanted);
    for (const part of divideChanges(changes)) this.#set({ peers: part });
    this.#held = wanted;
    this.#owners = owners;
    return problems;
  }

  async check(): Promise<'whole' | 'damaged'> {
    if (this.#own === undefined) return 'whole';
    const state = await this.#read();
    const isWhole =
      state?.publicKey === this.#own.keys.publicKey &&
      state.listenPort === this.#port &&
      state.peers.length === this.#held.size &&
      state.peers.every(
        ({ publicKey, allowed }) => this.#held.get(publicKey)?.allowed.size === allowed.length,
      );
    if (isWhole) return 'whole';
    this.#logger.warn(
      { device: this.device },
      'somebody changed the encrypted tunnel; restoring it',
    );
    await this.start(this.#own);
    return 'damaged';
  }

  async close(): Promise<void> {
    this.#socket?.netlink.close();
    this.#socket = undefined;
    this.#held.clear();
    if (this.#own === undefined) return;
    this.#own = undefined;
    await this.#batch([line`link del ${WIREGUARD_DEVICE}`]).catch((error: unknown) => {
      if (!(error instanceof CommandError)) throw error;
    });
  }

  async #open(): Promise<void> {
    if (this.#socket !== undefined) return;
    const netlink = await this.#kernel.openNetlink('generic');
    const family = familyId(netlink, WIREGUARD_FAMILY);
    if (family === undefined) {
      netlink.close();
      throw new Error('the kernel has no WireGuard (module wireguard, CONFIG_WIREGUARD)');
    }
    this.#socket = { netlink, family };
  }

  #follow(state: DeviceState): void {
    this.#held = new Map(
      state.peers.map(({ publicKey, endpoint, allowed }) => [
        publicKey,
        { endpoint, allowed: new Set(allowed) },
      ]),
    );
  }

  #set(change: Omit<DeviceChange, 'device'>): void {
    const { netlink, family } = this.#socket!;
    netlink.request({ type: family, payload: setDevice({ device: WIREGUARD_DEVICE, ...change }) });
  }

  /** Undefined when there is no device. */
  async #read(): Promise<DeviceState | undefined> {
    const text = await this.#kernel.run('ip', words`-j link show type wireguard`);
    const links = text.trim() === '' ? [] : (JSON.parse(text) as { ifname?: string }[]);
    if (!links.some(({ ifname }) => ifname === WIREGUARD_DEVICE)) return undefined;
    const { netlink, family } = this.#socket!;
    const payload = getDevice(WIREGUARD_DEVICE);
    return readDevice(netlink.request({ type: family, flags: NLM_F_DUMP, payload }));
  }

  async #batch(commands: readonly Line[]): Promise<void> {
    await this.#kernel.run('ip', ['-batch', '-'], `${commands.join('\n')}\n`);
  }
}
