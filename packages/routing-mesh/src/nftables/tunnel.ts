import {
  type Clock,
  isIpv6,
  type Logger,
  networkOf,
  NODE_BLOCK_PREFIX_LENGTH,
  parseIpAddress,
} from '@swarm/api';
import { type Cidr, firstHost, parseCidr, parseIpv4 } from '../address.js';
import type { CheckedPeer } from '../checked.js';
import { CommandError, type RunCommand } from '../kernel/command.js';
import { type Line, line, type Word, word, words } from '../kernel/words.js';
import {
  MAX_PEER_INDEX,
  PEER_MARK_MASK,
  peerMac,
  peerMark,
  RETURN_TABLE_BASE,
  RULE_PREF_END,
  RULE_PREF_GROUP,
  RULE_PREF_PEER,
  RULE_PREF_SKIP,
  TUNNEL_DEVICE,
  TUNNEL_OVERHEAD_V4_BYTES,
  TUNNEL_OVERHEAD_V6_BYTES,
  TUNNEL_VNI,
} from '../layout.js';
import { samePeer } from './elements.js';

/** Peers a dispatch group holds: the lower six bits of the index. */
const GROUP_BITS = 6;
const GROUP_MASK = 0xfc000000;
const MASK = hexWord(PEER_MARK_MASK);

/** Batches that may fail while the peers that the kernel refuses are looked for; the rest is refused as one. */
const SEARCH_LIMIT = 64;
/** A refused peer is tried again after the first, which doubles up to the second. */
const RETRY_MIN_MS = 15_000;
const RETRY_MAX_MS = 600_000;

/** A peer that the kernel did not take. */
interface Refusal {
  readonly peer: CheckedPeer;
  readonly pauseMs: number;
  readonly retryAtMs: number;
}

/** What the kernel has of a peer. Of one that an earlier process left only this is known. */
type PeerParts = Pick<CheckedPeer, 'index' | 'subnet'>;

interface LinkListing {
  readonly ifname: string;
  readonly address?: string;
  readonly mtu: number;
  readonly addr_info?: readonly { readonly local?: string }[];
  readonly linkinfo?: {
    readonly info_kind?: string;
    readonly info_data?: {
      readonly id?: number;
      readonly local?: string;
      readonly local6?: string;
      readonly port?: number;
    };
  };
}

interface RuleListing {
  readonly priority: number;
}

/**
 * The VXLAN device between nodes, and the routes through it. Everything is static: one forwarding entry,
 * neighbour and route per node, so tasks come and go without a word to other nodes, and nothing floods.
 */
export class Tunnel {
  readonly #run: RunCommand;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #port: number;
  #self: CheckedPeer | undefined;
  readonly #peers = new Map<string, CheckedPeer>();
  /** By index; the first prune takes away those that are no peer's by then. */
  readonly #left = new Map<number, PeerParts>();
  readonly #refused = new Map<string, Refusal>();
  #rules = new Set<number>();
  #mtu = 0;

  constructor(options: { run: RunCommand; logger: Logger; clock: Clock; port: number }) {
    this.#run = options.run;
    this.#logger = options.logger;
    this.#clock = options.clock;
    this.#port = options.port;
  }

  /** Largest packet that fits into the tunnel; task links have the same. */
  get mtuBytes(): number {
    return this.#mtu;
  }

  /** Makes the device, or takes over one that is as wanted. */
  async start(self: CheckedPeer): Promise<void> {
    const links = await this.#json<LinkListing>(words`-d addr show`);
    const underlay = links.find((link) =>
      link.addr_info?.some((info) => parseIpAddress(info.local) === self.address),
    );
    if (underlay === undefined) {
      throw new Error(
        `mesh: no device of this node has the data path address ${self.address}; give one that exists with --data-path-addr`,
      );
    }
    const v6 = isIpv6(self.address);
    this.#mtu = underlay.mtu - (v6 ? TUNNEL_OVERHEAD_V6_BYTES : TUNNEL_OVERHEAD_V4_BYTES);
    const mac = peerMac(self.index);
    const own = firstHost(self.subnet);
    const existing = links.find((link) => link.ifname === TUNNEL_DEVICE);
    const data = existing?.linkinfo?.info_data;
    const fits =
      existing?.linkinfo?.info_kind === 'vxlan' &&
      existing.address === mac &&
      data?.id === TUNNEL_VNI &&
      data.port === this.#port &&
      parseIpAddress(data.local ?? data.local6) === self.address &&
      existing.addr_info?.some((info) => info.local === own) === true;
    const batch: Line[] = [];
    if (existing !== undefined && !fits) {
      this.#logger.warn({ device: TUNNEL_DEVICE }, 'the tunnel device differs and is made anew');
      batch.push(line`link del ${TUNNEL_DEVICE}`);
    }
    if (!fits) {
      // No checksum over the outer packet: the inner one has its own, and offloading of the outer is
      // broken behind some network cards (RFC 7348 asks for zero over IPv4).
      batch.push(
        line`link add ${TUNNEL_DEVICE} address ${mac} type vxlan id ${TUNNEL_VNI} local ${self.address} dstport ${this.#port} nolearning ${v6 ? line`udp6zerocsumtx udp6zerocsumrx` : line`noudpcsum`}`,
        line`addr add ${own}/32 dev ${TUNNEL_DEVICE}`,
      );
    }
    batch.push(
      line`link set ${TUNNEL_DEVICE} mtu ${this.#mtu} addrgenmode none up`,
      // A task that is gone answers nothing: an ICMP error would end a client's attempt to connect.
      line`route replace blackhole ${self.subnet}`,
    );
    await this.#batch(batch);
    this.#self = self;
    await this.#takeOver(fits);
  }

  /**
   * Adds and renews routes; `peers` may hold the node itself. Call {@link prune} after the table changed.
   *
   * A peer that the kernel does not take is left out, named, and tried again after a pause that doubles;
   * the others are added all the same.
   * @returns ids of the peers that are left out
   * @throws CommandError when it is not for a peer: the device is gone, or the command missing
   */
  async add(peers: ReadonlyMap<string, CheckedPeer>): Promise<ReadonlySet<string>> {
    const nowMs = this.#clock.monotonicMs();
    const wanted: CheckedPeer[] = [];
    const replaced: CheckedPeer[] = [];
    for (const [nodeId, peer] of peers) {
      if (nodeId === this.#self!.nodeId || peer.userspace) continue;
      const old = this.#peers.get(nodeId);
      if (samePeer(peer, old)) continue;
      if (old !== undefined) replaced.push(old);
      const refusal = this.#refused.get(nodeId);
      if (samePeer(peer, refusal?.peer) && nowMs < refusal!.retryAtMs) continue;
      wanted.push(peer);
    }
    for (const { nodeId } of replaced) this.#peers.delete(nodeId);
    await this.#remove(replaced);
    if (wanted.length > 0) await this.#tell(wanted, { left: SEARCH_LIMIT });
    for (const nodeId of this.#refused.keys()) if (!peers.has(nodeId)) this.#refused.delete(nodeId);
    return new Set(this.#refused.keys());
  }

  /** Whether a peer that the kernel refused should be tried again by now. */
  get isRetryDue(): boolean {
    const nowMs = this.#clock.monotonicMs();
    for (const { retryAtMs } of this.#refused.values()) if (retryAtMs <= nowMs) return true;
    return false;
  }

  /** One batch for all; when it fails, halves, until those that the kernel refuses are found. */
  async #tell(peers: readonly CheckedPeer[], budget: { left: number }): Promise<void> {
    const forwarding: Line[] = [];
    const batch: Line[] = [];
    for (const peer of peers) {
      const mac = peerMac(peer.index);
      const via = firstHost(peer.subnet);
      forwarding.push(
        line`fdb replace ${mac} dev ${TUNNEL_DEVICE} dst ${peer.address} self permanent`,
      );
      batch.push(
        line`neigh replace ${via} lladdr ${mac} dev ${TUNNEL_DEVICE} nud permanent`,
        line`route replace ${peer.subnet} via ${via} dev ${TUNNEL_DEVICE} onlink`,
        line`route replace default via ${via} dev ${TUNNEL_DEVICE} onlink table ${RETURN_TABLE_BASE + peer.index}`,
        ...this.#peerRules(peer.index),
      );
    }
    try {
      await this.#run('bridge', ['-batch', '-'], lines(forwarding));
      await this.#batch(batch);
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      // Some of it may hold: the next attempt must know which rules are there.
      this.#rules = await this.#listRules();
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

  async #refuse(peers: readonly CheckedPeer[], error: CommandError): Promise<void> {
    for (const peer of peers) {
      const before = this.#refused.get(peer.nodeId);
      const again = samePeer(peer, before?.peer);
      const pauseMs = again ? Math.min(before!.pauseMs * 2, RETRY_MAX_MS) : RETRY_MIN_MS;
      const retryAtMs = this.#clock.monotonicMs() + pauseMs;
      this.#refused.set(peer.nodeId, { peer, pauseMs, retryAtMs });
      if (again) continue;
      const { nodeId, address } = peer;
      this.#logger.warn(
        { nodeId, address, err: error },
        `left out of the mesh: node ${nodeId} at ${address}, which the kernel refuses; tried again from time to time`,
      );
    }
    await this.#remove(peers);
  }

  async #isDeviceThere(): Promise<boolean> {
    const links = await this.#json<LinkListing>(words`link show type vxlan`);
    return links.some(({ ifname }) => ifname === TUNNEL_DEVICE);
  }

  /**
   * Makes anew what someone took away: systemd-networkd, for one, removes rules and routes that it did
   * not make when it restarts.
   * @returns whether anything was missing
   */
  async repair(): Promise<boolean> {
    const self = this.#self;
    if (self === undefined) return false;
    const [rules, routes] = await Promise.all([
      this.#listRules(),
      this.#json<{ dst: string }>(words`route show table main`),
    ]);
    const there = new Set(routes.map(({ dst }) => dst));
    const peers = new Map(this.#peers);
    const subnets = [self.subnet, ...[...peers.values()].map(({ subnet }) => subnet)];
    if ([...this.#rules].every((pref) => rules.has(pref)) && subnets.every((s) => there.has(s))) {
      return false;
    }
    await this.start(self);
    this.#peers.clear();
    await this.add(peers);
    return true;
  }

  /** Takes away the routes of peers that are not in `peers`, and what an earlier process left. */
  async prune(peers: ReadonlyMap<string, CheckedPeer>): Promise<void> {
    const gone: PeerParts[] = [...this.#left.values()];
    this.#left.clear();
    for (const [nodeId, peer] of this.#peers) {
      if (samePeer(peer, peers.get(nodeId))) continue;
      gone.push(peer);
      this.#peers.delete(nodeId);
    }
    await this.#remove(gone);
  }

  /** Removes device, routes and rules. */
  async stop(): Promise<void> {
    const indexes = [...this.#left.keys(), ...[...this.#peers.values()].map(({ index }) => index)];
    await this.#quiet(indexes.map((index) => line`route flush table ${RETURN_TABLE_BASE + index}`));
    await this.#quiet([...this.#rules].map((pref) => line`rule del pref ${pref}`));
    await this.#quiet([line`link del ${TUNNEL_DEVICE}`]);
    if (this.#self !== undefined) {
      await this.#quiet([line`route del blackhole ${this.#self.subnet}`]);
    }
    this.#left.clear();
    this.#refused.clear();
    this.#peers.clear();
    this.#rules.clear();
  }

  /** Finds what an earlier process left. Its peers are known by index only until a state names them. */
  async #takeOver(deviceKept: boolean): Promise<void> {
    this.#peers.clear();
    this.#left.clear();
    this.#rules = await this.#listRules();
    const batch: Line[] = [];
    if (!this.#rules.has(RULE_PREF_END)) batch.push(this.#rule(RULE_PREF_END, line`nop`));
    if (!this.#rules.has(RULE_PREF_SKIP)) {
      batch.push(this.#rule(RULE_PREF_SKIP, line`fwmark 0/${MASK} goto ${RULE_PREF_END}`));
    }
    await this.#batch(batch);
    if (!deviceKept) return;
    const neighbours = await this.#json<{ dst: string; lladdr?: string }>(
      words`neigh show dev ${TUNNEL_DEVICE}`,
    );
    for (const { dst, lladdr } of neighbours) {
      const parts = readNeighbour(dst, lladdr);
      if (parts !== undefined) this.#left.set(parts.index, parts);
    }
  }

  #peerRules(index: number): Line[] {
    const group = index >> GROUP_BITS;
    const block = RULE_PREF_PEER + group * (2 ** GROUP_BITS + 2);
    const last = block + 2 ** GROUP_BITS + 1;
    const batch: Line[] = [];
    const add = (pref: number, what: Line): void => {
      if (!this.#rules.has(pref)) batch.push(this.#rule(pref, what));
    };
    add(last, line`goto ${RULE_PREF_END}`);
    add(
      block + 1 + (index & (2 ** GROUP_BITS - 1)),
      line`fwmark ${hexWord(peerMark(index))}/${MASK} lookup ${RETURN_TABLE_BASE + index}`,
    );
    // The jump needs a rule that is there already: the group's end is.
    add(block, line`nop`);
    add(
      RULE_PREF_GROUP + group,
      line`fwmark ${hexWord(peerMark(group << GROUP_BITS))}/${hexWord(GROUP_MASK)} goto ${block}`,
    );
    return batch;
  }

  #rule(pref: number, what: Line): Line {
    this.#rules.add(pref);
    return line`rule add pref ${pref} ${what}`;
  }

  /** Takes away what there may be of these; parts that a peer has by now, under another name, stay. */
  async #remove(gone: readonly PeerParts[]): Promise<void> {
    if (gone.length === 0) return;
    const taken = new Set([...this.#peers.values()].map(({ index }) => index));
    const batch: Line[] = [];
    const forwarding: Line[] = [];
    for (const { index, subnet } of gone) {
      if (taken.has(index)) continue;
      const pref =
        RULE_PREF_PEER +
        (index >> GROUP_BITS) * (2 ** GROUP_BITS + 2) +
        1 +
        (index & (2 ** GROUP_BITS - 1));
      batch.push(
        line`rule del pref ${pref}`,
        line`route flush table ${RETURN_TABLE_BASE + index}`,
        line`route del ${subnet} dev ${TUNNEL_DEVICE}`,
        line`neigh del ${firstHost(subnet)} dev ${TUNNEL_DEVICE}`,
      );
      forwarding.push(line`fdb del ${peerMac(index)} dev ${TUNNEL_DEVICE} self`);
      this.#rules.delete(pref);
    }
    if (batch.length === 0) return;
    await this.#quiet(batch);
    await this.#run('bridge', ['-force', '-batch', '-'], lines(forwarding)).catch(
      ignoreCommandError,
    );
  }

  async #batch(commands: readonly Line[]): Promise<void> {
    if (commands.length > 0) await this.#run('ip', ['-batch', '-'], lines(commands));
  }

  /** For removals: what is gone already is as wanted. */
  async #quiet(commands: readonly Line[]): Promise<void> {
    if (commands.length === 0) return;
    await this.#run('ip', ['-force', '-batch', '-'], lines(commands)).catch(ignoreCommandError);
  }

  async #listRules(): Promise<Set<number>> {
    const rules = await this.#json<RuleListing>(words`rule show`);
    return new Set(
      rules
        .map((rule) => rule.priority)
        .filter((pref) => pref >= RULE_PREF_SKIP && pref <= RULE_PREF_END),
    );
  }

  async #json<T>(args: readonly string[]): Promise<T[]> {
    const text = await this.#run('ip', ['-j', ...args]);
    return text.trim() === '' ? [] : (JSON.parse(text) as T[]);
  }
}

/** What a neighbour entry of the tunnel says of a peer; undefined when it is none of ours. */
function readNeighbour(dst: string, lladdr: string | undefined): PeerParts | undefined {
  const bytes = lladdr?.split(':').map((byte) => Number.parseInt(byte, 16)) ?? [];
  const index = bytes.length === 6 ? (bytes[4]! << 8) | bytes[5]! : 0;
  const subnet = blockOf(dst);
  if (index < 1 || index > MAX_PEER_INDEX || subnet === undefined) return undefined;
  return parseIpv4(dst) === firstHost(subnet) ? { index, subnet } : undefined;
}

/** The block that an address is in; undefined when it is no IPv4 address. */
function blockOf(text: string): Cidr | undefined {
  const address = parseIpAddress(text);
  if (address === undefined || isIpv6(address)) return undefined;
  return parseCidr(networkOf(address, NODE_BLOCK_PREFIX_LENGTH));
}

function lines(commands: readonly Line[]): string {
  return `${commands.join('\n')}\n`;
}

function hexWord(value: number): Word {
  return word(`0x${value.toString(16)}`);
}

function ignoreCommandError(error: unknown): void {
  if (!(error instanceof CommandError) || error.code === 'ENOENT') throw error;
}
