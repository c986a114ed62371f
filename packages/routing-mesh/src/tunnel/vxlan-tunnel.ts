import { type Clock, type IpAddress, type Logger, Subnet } from '@swarm/api';
import {
  ingressIpv6Subnet,
  type Ipv4Address,
  nodeAddress,
  parseIpv4,
  subnetText,
} from '../address.js';
import { type CheckedPeer, samePeer } from '../checked.js';
import { carriesIpv6, type CheckedIngress, DEFAULT_INGRESS } from '../ingress.js';
import { CommandError, type RunCommand } from '../kernel/command.js';
import type { Kernel } from '../kernel/kernel.js';
import { type Line, line, words } from '../kernel/words.js';
import {
  MAX_PEER_INDEX,
  peerGatewayV6,
  peerMac,
  RETURN_TABLE_BASE,
  TUNNEL_DEVICE,
} from '../layout.js';
import { hostIpv6, type LinkListing, planDevice, staleLines } from './tunnel-device.js';
import { tuneForwarding } from './forwarding.js';
import type { PeerSection } from './peer-section.js';
import { RefusedPeers } from './refused-peers.js';
import { isOurs, ReturnRules } from './return-rules.js';
import type { Tunnel } from './tunnel.js';

/** Batches that may fail while searching for the peers that the kernel rejects; the rest is rejected as one. */
const SEARCH_LIMIT = 64;

/** What the kernel has of a peer. Of a peer left by an earlier process, or from before a move, only this is known. */
type PeerParts = Pick<CheckedPeer, 'index' | 'subnet'>;

interface RuleListing {
  readonly priority: number;
}

export interface VxlanTunnelOptions {
  readonly kernel: Kernel;
  readonly logger: Logger;
  readonly clock: Clock;
  /** UDP port of the tunnel. */
  readonly port: number;
  /** What the table knows of peers. */
  readonly section: PeerSection;
  /** Whether packets of IPv6 go through it too. Default false. */
  readonly hasIpv6?: boolean;
}

/**
 * The VXLAN device between nodes, and the routes through it. Everything is static: one forwarding entry,
 * neighbour and route per node, so tasks come and go without messages to other nodes, and nothing floods.
 */
export class VxlanTunnel implements Tunnel {
  readonly #options: VxlanTunnelOptions;
  readonly #run: RunCommand;
  readonly #logger: Logger;
  #self: CheckedPeer | undefined;
  #ingress = DEFAULT_INGRESS;
  readonly #peers = new Map<string, CheckedPeer>();
  /** The first prune removes what belongs to no peer by then. */
  #left: readonly PeerParts[] = [];
  readonly #refused: RefusedPeers;
  readonly #rules = new ReturnRules();
  readonly #rulesV6 = new ReturnRules();
  #mtuBytes = 0;
  #ipv6Addresses: readonly IpAddress[] = [];
  /** The last batch for IPv6 failed, which has been logged. */
  #isV6Failing = false;

  constructor(options: VxlanTunnelOptions) {
    this.#options = options;
    this.#run = options.kernel.run;
    this.#logger = options.logger;
    this.#refused = new RefusedPeers(options);
  }

  get mtuBytes(): number {
    return this.#mtuBytes;
  }

  get ipv6Addresses(): readonly IpAddress[] {
    return this.#ipv6Addresses;
  }

  #noteAddresses(links: readonly LinkListing[]): void {
    if (!this.#options.hasIpv6) return;
    const found = hostIpv6(links);
    if (found.join() !== this.#ipv6Addresses.join()) this.#ipv6Addresses = found;
  }

  get isRetryDue(): boolean {
    return this.#refused.isRetryDue;
  }

  async start(self: CheckedPeer, ingress: CheckedIngress): Promise<void> {
    this.#ingress = ingress;
    await this.#setUp(self);
    const { kernel, hasIpv6 = false } = this.#options;
    await tuneForwarding(kernel, this.#logger, { hasIpv6 });
  }

  /** Makes the device, or takes over one that is as wanted. */
  async #setUp(self: CheckedPeer): Promise<void> {
    const links = await this.#json<LinkListing>(words`-d addr show`);
    this.#noteAddresses(links);
    const { mtuBytes, isKept, isReplaced, stale, batch, batchV6 } = planDevice(
      links,
      self,
      this.#options.port,
    );
    if (isReplaced) {
      this.#logger.warn({ device: TUNNEL_DEVICE }, 'the tunnel device differs; making it again');
    }
    this.#mtuBytes = mtuBytes;
    await this.#batch(batch);
    await this.#batchV6(batchV6);
    await this.#leaveBlocks(stale);
    this.#self = self;
    await this.#takeOver(isKept);
  }

  /** Removes what the node had in another ingress network. */
  async #leaveBlocks(addresses: readonly Ipv4Address[]): Promise<void> {
    if (addresses.length === 0) return;
    const routes = await this.#json<{ dst: string }>(words`route show table main type blackhole`);
    const blocks = routes.flatMap(({ dst }) => {
      const block = subnetText(Subnet.parse(dst));
      return block !== undefined && addresses.includes(nodeAddress(block)) ? [block] : [];
    });
    const { v4, v6 } = staleLines(addresses, blocks);
    await this.#quiet(v4);
    await this.#quietV6(v6);
  }

  /** @throws CommandError when the cause is not a peer: the device is gone, or the command missing */
  async reach(peers: ReadonlyMap<string, CheckedPeer>): Promise<ReadonlySet<string>> {
    const wanted: CheckedPeer[] = [];
    const replaced: CheckedPeer[] = [];
    for (const [nodeId, peer] of peers) {
      if (nodeId === this.#self!.nodeId || peer.userspace) continue;
      const old = this.#peers.get(nodeId);
      if (samePeer(peer, old)) continue;
      if (old !== undefined) replaced.push(old);
      if (!this.#refused.isPaused(peer)) wanted.push(peer);
    }
    for (const { nodeId } of replaced) this.#peers.delete(nodeId);
    await this.#remove(replaced);
    if (wanted.length > 0) await this.#tell(wanted, { left: SEARCH_LIMIT });
    this.#refused.retain(peers);
    const refused = this.#refused.ids();
    this.#options.section.follow(without(peers, refused));
    return refused;
  }

  /** Writes one batch for all; if it fails, tries halves, until it finds the peers that the kernel rejects. */
  async #tell(peers: readonly CheckedPeer[], budget: { left: number }): Promise<void> {
    const forwarding: Line[] = [];
    const batch: Line[] = [];
    const batchV6: Line[] = [];
    const way = this.#wayLimit(4);
    const wayV6 = this.#wayLimit(6);
    for (const peer of peers) {
      const mac = peerMac(peer.index);
      const via = nodeAddress(peer.subnet);
      forwarding.push(
        line`fdb replace ${mac} dev ${TUNNEL_DEVICE} dst ${peer.address} self permanent`,
      );
      batch.push(
        line`neigh replace ${via} lladdr ${mac} dev ${TUNNEL_DEVICE} nud permanent`,
        line`route replace ${peer.subnet} via ${via} dev ${TUNNEL_DEVICE} ${way}`,
        line`route replace default via ${via} dev ${TUNNEL_DEVICE} ${way} table ${RETURN_TABLE_BASE + peer.index}`,
        ...this.#rules.add(peer.index),
      );
      const viaV6 = peerGatewayV6(peer.index);
      batchV6.push(
        line`neigh replace ${viaV6} lladdr ${mac} dev ${TUNNEL_DEVICE} nud permanent`,
        line`route replace ${ingressIpv6Subnet(peer.subnet)} via ${viaV6} dev ${TUNNEL_DEVICE} ${wayV6}`,
        line`route replace default via ${viaV6} dev ${TUNNEL_DEVICE} ${wayV6} table ${RETURN_TABLE_BASE + peer.index}`,
        ...this.#rulesV6.add(peer.index),
      );
    }
    try {
      await this.#run('bridge', ['-batch', '-'], lines(forwarding));
      await this.#batch(batch);
      await this.#batchV6(batchV6);
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      // Some of it may have worked: the next attempt must know which rules exist.
      await this.#resetRules();
      if (error.code !== undefined || !(await this.#isDeviceThere())) throw error;
      budget.left -= 1;
      if (peers.length === 1 || budget.left <= 0) {
        await this.#refuse(peers, error);
        return;
      }
      const half = peers.length >> 1;
      await this.#tell(peers.slice(0, half), budget);
      await this.#tell(peers.slice(half), budget);
      return;
    }
    for (const peer of peers) {
      this.#peers.set(peer.nodeId, peer);
      this.#refused.delete(peer.nodeId);
    }
  }

  /** What ends a route through the tunnel: packets of the ingress network may have to be smaller than it takes. */
  #wayLimit(family: 4 | 6): Line {
    const { mtuBytes } = this.#ingress;
    const isSmaller = mtuBytes !== undefined && mtuBytes < this.#mtuBytes;
    if (!isSmaller || (family === 6 && !carriesIpv6(this.#ingress))) return line`onlink`;
    return line`onlink mtu ${mtuBytes}`;
  }

  async #refuse(peers: readonly CheckedPeer[], error: CommandError): Promise<void> {
    for (const peer of peers) this.#refused.add(peer, error);
    await this.#remove(peers);
  }

  async #isDeviceThere(): Promise<boolean> {
    const links = await this.#json<LinkListing>(words`link show type vxlan`);
    return links.some(({ ifname }) => ifname === TUNNEL_DEVICE);
  }

  /** systemd-networkd, for one, removes rules and routes that it did not make whenever it restarts. */
  async repair(): Promise<boolean> {
    const self = this.#self;
    if (self === undefined) return false;
    if (this.#options.hasIpv6) {
      this.#noteAddresses(await this.#json<LinkListing>(words`-6 addr show scope global`));
    }
    const peers = new Map(this.#peers);
    const subnets = [self.subnet, ...[...peers.values()].map(({ subnet }) => subnet)];
    if (
      (await this.#isThere(4, this.#rules, subnets)) &&
      (!this.#options.hasIpv6 ||
        this.#isV6Failing ||
        (await this.#isThere(6, this.#rulesV6, subnets.map(ingressIpv6Subnet))))
    ) {
      return false;
    }
    await this.#setUp(self);
    this.#peers.clear();
    if (peers.size > 0) await this.#tell([...peers.values()], { left: SEARCH_LIMIT });
    return true;
  }

  async #isThere(
    family: 4 | 6,
    { held }: ReturnRules,
    subnets: readonly string[],
  ): Promise<boolean> {
    const option = family === 4 ? [] : ['-6'];
    const [rules, routes] = await Promise.all([
      this.#listRules(family),
      this.#json<{ dst: string }>([...option, ...words`route show table main`]),
    ]);
    const there = new Set(routes.map(({ dst }) => dst));
    return [...held].every((pref) => rules.has(pref)) && subnets.every((one) => there.has(one));
  }

  async #resetRules(): Promise<void> {
    this.#rules.reset(await this.#listRules(4));
    if (this.#options.hasIpv6) this.#rulesV6.reset(await this.#listRules(6));
  }

  /** Also removes what an earlier process left. */
  async prune(peers: ReadonlyMap<string, CheckedPeer>): Promise<void> {
    const gone: PeerParts[] = [...this.#left];
    this.#left = [];
    for (const [nodeId, peer] of this.#peers) {
      if (samePeer(peer, peers.get(nodeId))) continue;
      gone.push(peer);
      this.#peers.delete(nodeId);
    }
    await this.#remove(gone);
  }

  async close(): Promise<void> {
    const indexes = [...this.#left, ...this.#peers.values()].map(({ index }) => index);
    const flushed = indexes.map((index) => line`route flush table ${RETURN_TABLE_BASE + index}`);
    await this.#quiet([...flushed, ...this.#rules.clear()]);
    await this.#quietV6([...flushed, ...this.#rulesV6.clear()]);
    await this.#quiet([line`link del ${TUNNEL_DEVICE}`]);
    if (this.#self !== undefined) {
      const { subnet } = this.#self;
      await this.#quiet([line`route del blackhole ${subnet}`]);
      await this.#quietV6([line`route del blackhole ${ingressIpv6Subnet(subnet)}`]);
    }
    this.#self = undefined;
    this.#left = [];
    this.#refused.clear();
    this.#peers.clear();
  }

  /** Finds what an earlier process left. Knows its peers by index only, until a state names them. */
  async #takeOver(deviceKept: boolean): Promise<void> {
    this.#peers.clear();
    this.#left = [];
    await this.#resetRules();
    await this.#batch(this.#rules.frame());
    await this.#batchV6(this.#rulesV6.frame());
    if (!deviceKept) return;
    const [neighbours, routes] = await Promise.all([
      this.#json<{ dst: string; lladdr?: string }>(words`neigh show dev ${TUNNEL_DEVICE}`),
      this.#json<{ dst: string; gateway?: string }>(
        words`route show table main dev ${TUNNEL_DEVICE}`,
      ),
    ]);
    const blocks = new Map(routes.map(({ dst, gateway }) => [gateway, Subnet.parse(dst)]));
    this.#left = neighbours.flatMap(({ dst, lladdr }) => {
      const index = readIndex(lladdr);
      const subnet = subnetText(blocks.get(dst) ?? blockOf(dst));
      return index !== undefined && subnet !== undefined && parseIpv4(dst) === nodeAddress(subnet)
        ? [{ index, subnet }]
        : [];
    });
  }

  /** Removes what exists of these; keeps the parts that a peer now has under another name. */
  async #remove(gone: readonly PeerParts[]): Promise<void> {
    if (gone.length === 0) return;
    const taken = new Map([...this.#peers.values()].map(({ index, subnet }) => [index, subnet]));
    const batch: Line[] = [];
    const batchV6: Line[] = [];
    const forwarding: Line[] = [];
    for (const { index, subnet } of gone) {
      if (taken.get(index) === subnet) continue;
      // What goes by the index stays with its node, whatever block that has.
      if (!taken.has(index)) {
        batch.push(this.#rules.delete(index), line`route flush table ${RETURN_TABLE_BASE + index}`);
        batchV6.push(
          this.#rulesV6.delete(index),
          line`route flush table ${RETURN_TABLE_BASE + index}`,
          line`neigh del ${peerGatewayV6(index)} dev ${TUNNEL_DEVICE}`,
        );
        forwarding.push(line`fdb del ${peerMac(index)} dev ${TUNNEL_DEVICE} self`);
      }
      batch.push(
        line`route del ${subnet} dev ${TUNNEL_DEVICE}`,
        line`neigh del ${nodeAddress(subnet)} dev ${TUNNEL_DEVICE}`,
      );
      batchV6.push(line`route del ${ingressIpv6Subnet(subnet)} dev ${TUNNEL_DEVICE}`);
    }
    if (batch.length === 0) return;
    await this.#quiet(batch);
    await this.#quietV6(batchV6);
    if (forwarding.length === 0) return;
    await this.#run('bridge', ['-force', '-batch', '-'], lines(forwarding)).catch(
      ignoreCommandError,
    );
  }

  async #batch(commands: readonly Line[]): Promise<void> {
    if (commands.length > 0) await this.#run('ip', ['-batch', '-'], lines(commands));
  }

  /**
   * Nothing without IPv6. A failure is reported and costs IPv6 alone: a device with a small MTU has none.
   */
  async #batchV6(commands: readonly Line[]): Promise<void> {
    if (!this.#options.hasIpv6 || commands.length === 0) return;
    try {
      await this.#run('ip', ['-6', '-batch', '-'], lines(commands));
      this.#isV6Failing = false;
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      if (!this.#isV6Failing) {
        this.#logger.warn(
          { err: error },
          'the kernel rejected IPv6 routes between nodes: clients of IPv6 reach tasks of this node alone',
        );
      }
      this.#isV6Failing = true;
      this.#rulesV6.reset(await this.#listRules(6));
    }
  }

  async #quietV6(commands: readonly Line[]): Promise<void> {
    if (!this.#options.hasIpv6 || commands.length === 0) return;
    const args = ['-6', '-force', '-batch', '-'];
    await this.#run('ip', args, lines(commands)).catch(ignoreCommandError);
  }

  /** For removals: what is already gone is as wanted. */
  async #quiet(commands: readonly Line[]): Promise<void> {
    if (commands.length === 0) return;
    await this.#run('ip', ['-force', '-batch', '-'], lines(commands)).catch(ignoreCommandError);
  }

  async #listRules(family: 4 | 6): Promise<Set<number>> {
    const option = family === 4 ? [] : ['-6'];
    const rules = await this.#json<RuleListing>([...option, ...words`rule show`]);
    return new Set(rules.map((rule) => rule.priority).filter(isOurs));
  }

  async #json<T>(args: readonly string[]): Promise<T[]> {
    const text = await this.#run('ip', ['-j', ...args]);
    return text.trim() === '' ? [] : (JSON.parse(text) as T[]);
  }
}

/** The index of the peer whose Ethernet address this is; undefined if it is not ours. */
function readIndex(lladdr: string | undefined): number | undefined {
  const bytes = lladdr?.split(':').map((byte) => Number.parseInt(byte, 16)) ?? [];
  const index = bytes.length === 6 ? (bytes[4]! << 8) | bytes[5]! : 0;
  return index >= 1 && index <= MAX_PEER_INDEX ? index : undefined;
}

/** The block of a neighbour without a route: most networks have blocks of this size. */
function blockOf(text: string): Subnet | undefined {
  const address = parseIpv4(text);
  return address && Subnet.around(address, 24);
}

function without(
  peers: ReadonlyMap<string, CheckedPeer>,
  nodeIds: ReadonlySet<string>,
): ReadonlyMap<string, CheckedPeer> {
  if (nodeIds.size === 0) return peers;
  return new Map([...peers].filter(([nodeId]) => !nodeIds.has(nodeId)));
}

function lines(commands: readonly Line[]): string {
  return `${commands.join('\n')}\n`;
}

function ignoreCommandError(error: unknown): void {
  if (!(error instanceof CommandError) || error.code === 'ENOENT') throw error;
}
