import { isIPv6 } from 'node:net';
import type { Logger, MeshPeer } from '@swarm/api';
import { firstHost } from '../address.js';
import { CommandError, type RunCommand } from '../kernel/command.js';
import {
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
const MASK = `0x${PEER_MARK_MASK.toString(16)}`;

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
  readonly #port: number;
  #self: MeshPeer | undefined;
  #peers = new Map<string, MeshPeer>();
  #rules = new Set<number>();
  #mtu = 0;

  constructor(options: { run: RunCommand; logger: Logger; port: number }) {
    this.#run = options.run;
    this.#logger = options.logger;
    this.#port = options.port;
  }

  /** Largest packet that fits into the tunnel; task links have the same. */
  get mtuBytes(): number {
    return this.#mtu;
  }

  /** Makes the device, or takes over one that is as wanted. */
  async start(self: MeshPeer): Promise<void> {
    const links = await this.#json<LinkListing>(['-d', 'addr', 'show']);
    const underlay = links.find((link) =>
      link.addr_info?.some((info) => info.local === self.address),
    );
    if (underlay === undefined) {
      throw new Error(
        `mesh: no device of this node has the data path address ${self.address}; give one that exists with --data-path-addr`,
      );
    }
    const v6 = isIPv6(self.address);
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
      (data.local ?? data.local6) === self.address &&
      existing.addr_info?.some((info) => info.local === own) === true;
    const batch: string[] = [];
    if (existing !== undefined && !fits) {
      this.#logger.warn({ device: TUNNEL_DEVICE }, 'the tunnel device differs and is made anew');
      batch.push(`link del ${TUNNEL_DEVICE}`);
    }
    if (!fits) {
      // No checksum over the outer packet: the inner one has its own, and offloading of the outer is
      // broken behind some network cards (RFC 7348 asks for zero over IPv4).
      batch.push(
        `link add ${TUNNEL_DEVICE} address ${mac} type vxlan id ${TUNNEL_VNI} local ${self.address} dstport ${this.#port} nolearning ${v6 ? 'udp6zerocsumtx udp6zerocsumrx' : 'noudpcsum'}`,
        `addr add ${own}/32 dev ${TUNNEL_DEVICE}`,
      );
    }
    batch.push(
      `link set ${TUNNEL_DEVICE} mtu ${this.#mtu} addrgenmode none up`,
      // A task that is gone answers nothing: an ICMP error would end a client's attempt to connect.
      `route replace blackhole ${self.subnet}`,
    );
    await this.#batch(batch);
    this.#self = self;
    await this.#takeOver(fits);
  }

  /** Adds and renews routes; `peers` may hold the node itself. Call {@link prune} after the table changed. */
  async add(peers: ReadonlyMap<string, MeshPeer>): Promise<void> {
    const batch: string[] = [];
    const forwarding: string[] = [];
    const added: [string, MeshPeer][] = [];
    for (const [nodeId, peer] of peers) {
      if (nodeId === this.#self!.nodeId || samePeer(peer, this.#peers.get(nodeId))) continue;
      const old = this.#peers.get(nodeId);
      if (old !== undefined) {
        await this.#remove(old);
        this.#peers.delete(nodeId);
      }
      const mac = peerMac(peer.index);
      const via = firstHost(peer.subnet);
      forwarding.push(`fdb replace ${mac} dev ${TUNNEL_DEVICE} dst ${peer.address} self permanent`);
      batch.push(
        `neigh replace ${via} lladdr ${mac} dev ${TUNNEL_DEVICE} nud permanent`,
        `route replace ${peer.subnet} via ${via} dev ${TUNNEL_DEVICE} onlink`,
        `route replace default via ${via} dev ${TUNNEL_DEVICE} onlink table ${RETURN_TABLE_BASE + peer.index}`,
        ...this.#peerRules(peer.index),
      );
      added.push([nodeId, peer]);
    }
    if (added.length === 0) return;
    try {
      await this.#run('bridge', ['-batch', '-'], `${forwarding.join('\n')}\n`);
      await this.#batch(batch);
    } catch (error) {
      // Some of it may hold: the next attempt must know which rules are there.
      this.#rules = await this.#listRules();
      throw error;
    }
    for (const [nodeId, peer] of added) this.#peers.set(nodeId, peer);
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
      this.#json<{ dst: string }>(['route', 'show', 'table', 'main']),
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

  /** Takes away the routes of peers that are not in `peers`. */
  async prune(peers: ReadonlyMap<string, MeshPeer>): Promise<void> {
    for (const [nodeId, peer] of this.#peers) {
      if (peers.has(nodeId)) continue;
      await this.#remove(peer);
      this.#peers.delete(nodeId);
    }
  }

  /** Removes device, routes and rules. */
  async stop(): Promise<void> {
    for (const [, peer] of this.#peers) {
      await this.#quiet([`route flush table ${RETURN_TABLE_BASE + peer.index}`]);
    }
    await this.#quiet([...this.#rules].map((pref) => `rule del pref ${pref}`));
    await this.#quiet([`link del ${TUNNEL_DEVICE}`]);
    if (this.#self !== undefined) await this.#quiet([`route del blackhole ${this.#self.subnet}`]);
    this.#peers.clear();
    this.#rules.clear();
  }

  /** Finds what an earlier process left. Its peers are known by index only until a state names them. */
  async #takeOver(deviceKept: boolean): Promise<void> {
    this.#peers.clear();
    this.#rules = await this.#listRules();
    const batch: string[] = [];
    if (!this.#rules.has(RULE_PREF_END)) batch.push(this.#rule(RULE_PREF_END, 'nop'));
    if (!this.#rules.has(RULE_PREF_SKIP)) {
      batch.push(this.#rule(RULE_PREF_SKIP, `fwmark 0/${MASK} goto ${RULE_PREF_END}`));
    }
    await this.#batch(batch);
    if (!deviceKept) return;
    // Stale peers get an entry here under a name of no node: the first prune takes them away.
    const neighbours = await this.#json<{ dst: string; lladdr?: string }>([
      'neigh',
      'show',
      'dev',
      TUNNEL_DEVICE,
    ]);
    for (const { dst, lladdr } of neighbours) {
      const bytes = lladdr?.split(':').map((byte) => Number.parseInt(byte, 16)) ?? [];
      if (bytes.length !== 6) continue;
      const index = (bytes[4]! << 8) | bytes[5]!;
      const subnet = dst.replace(/\.\d+$/, '.0/24');
      this.#peers.set(`left by an earlier process: ${index}`, {
        nodeId: '',
        index,
        address: '',
        subnet,
      });
    }
  }

  #peerRules(index: number): string[] {
    const group = index >> GROUP_BITS;
    const block = RULE_PREF_PEER + group * (2 ** GROUP_BITS + 2);
    const last = block + 2 ** GROUP_BITS + 1;
    const batch: string[] = [];
    const add = (pref: number, what: string): void => {
      if (!this.#rules.has(pref)) batch.push(this.#rule(pref, what));
    };
    add(last, `goto ${RULE_PREF_END}`);
    add(
      block + 1 + (index & (2 ** GROUP_BITS - 1)),
      `fwmark 0x${peerMark(index).toString(16)}/${MASK} lookup ${RETURN_TABLE_BASE + index}`,
    );
    // The jump needs a rule that is there already: the group's end is.
    add(block, 'nop');
    add(
      RULE_PREF_GROUP + group,
      `fwmark 0x${peerMark(group << GROUP_BITS).toString(16)}/0x${GROUP_MASK.toString(16)} goto ${block}`,
    );
    return batch;
  }

  #rule(pref: number, what: string): string {
    this.#rules.add(pref);
    return `rule add pref ${pref} ${what}`;
  }

  async #remove(peer: MeshPeer): Promise<void> {
    const mac = peerMac(peer.index);
    const pref =
      RULE_PREF_PEER +
      (peer.index >> GROUP_BITS) * (2 ** GROUP_BITS + 2) +
      1 +
      (peer.index & (2 ** GROUP_BITS - 1));
    // A peer left by an earlier process may be known by now under its name: its parts stay.
    const others = [...this.#peers.values()].filter((other) => other !== peer);
    if (others.some((other) => other.index === peer.index)) return;
    await this.#quiet([
      `rule del pref ${pref}`,
      `route flush table ${RETURN_TABLE_BASE + peer.index}`,
      `route del ${peer.subnet} dev ${TUNNEL_DEVICE}`,
      `neigh del ${firstHost(peer.subnet)} dev ${TUNNEL_DEVICE}`,
    ]);
    this.#rules.delete(pref);
    await this.#run(
      'bridge',
      ['-force', '-batch', '-'],
      `fdb del ${mac} dev ${TUNNEL_DEVICE} self\n`,
    ).catch(ignoreCommandError);
  }

  async #batch(lines: readonly string[]): Promise<void> {
    if (lines.length > 0) await this.#run('ip', ['-batch', '-'], lines.join('\n') + '\n');
  }

  /** For removals: what is gone already is as wanted. */
  async #quiet(lines: readonly string[]): Promise<void> {
    if (lines.length === 0) return;
    await this.#run('ip', ['-force', '-batch', '-'], lines.join('\n') + '\n').catch(
      ignoreCommandError,
    );
  }

  async #listRules(): Promise<Set<number>> {
    const rules = await this.#json<RuleListing>(['rule', 'show']);
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

function ignoreCommandError(error: unknown): void {
  if (!(error instanceof CommandError) || error.code === 'ENOENT') throw error;
}
