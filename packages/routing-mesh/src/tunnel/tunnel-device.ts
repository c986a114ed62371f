import { type IpAddress, isIpv6, NODE_IPV6_LIMIT, parseIpAddress } from '@swarm/api';
import {
  ingressIpv6,
  ingressIpv6Subnet,
  type Ipv4Address,
  nodeAddress,
  parseIpv4,
  type SubnetText,
} from '../address.js';
import type { CheckedPeer } from '../checked.js';
import { type Line, line } from '../kernel/words.js';
import {
  peerMac,
  TASK_LINK_PREFIX,
  TUNNEL_DEVICE,
  TUNNEL_OVERHEAD_V4_BYTES,
  TUNNEL_OVERHEAD_V6_BYTES,
  TUNNEL_VNI,
} from '../layout.js';

/** A device as listed by `ip -d -j addr show`. */
export interface LinkListing {
  readonly ifname: string;
  readonly address?: string;
  readonly mtu: number;
  readonly addr_info?: readonly { readonly local?: string; readonly scope?: string }[];
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

/** What makes the tunnel device as it should be. */
export interface DevicePlan {
  readonly mtuBytes: number;
  /** The existing device is as wanted: its neighbours are those that an earlier process knew. */
  readonly isKept: boolean;
  /** The existing device differs, so the batch removes it. */
  readonly isReplaced: boolean;
  /** Addresses of the existing device that the node had in other blocks. */
  readonly stale: readonly Ipv4Address[];
  readonly batch: readonly Line[];
  /** The same for IPv6, in a batch of its own: `ip` parses some addresses only if it is told the family. */
  readonly batchV6: readonly Line[];
}

/**
 * Plans the device from what the host has.
 * @throws when no device has the node's address
 */
export function planDevice(
  links: readonly LinkListing[],
  self: CheckedPeer,
  port: number,
): DevicePlan {
  const underlay = links.find((link) =>
    link.addr_info?.some((info) => parseIpAddress(info.local) === self.address),
  );
  if (underlay === undefined) {
    throw new Error(
      `mesh: no device of this node has the data path address ${self.address}; set an existing one with --data-path-addr`,
    );
  }
  const v6 = isIpv6(self.address);
  const mtuBytes = underlay.mtu - (v6 ? TUNNEL_OVERHEAD_V6_BYTES : TUNNEL_OVERHEAD_V4_BYTES);
  const mac = peerMac(self.index);
  const own = nodeAddress(self.subnet);
  const existing = links.find((link) => link.ifname === TUNNEL_DEVICE);
  const data = existing?.linkinfo?.info_data;
  const isKept =
    existing?.linkinfo?.info_kind === 'vxlan' &&
    existing.address === mac &&
    data?.id === TUNNEL_VNI &&
    data.port === port &&
    parseIpAddress(data.local ?? data.local6) === self.address;
  const addresses = isKept ? (existing?.addr_info ?? []).flatMap(ipv4Of) : [];
  const isReplaced = existing !== undefined && !isKept;
  const batch: Line[] = [];
  if (isReplaced) batch.push(line`link del ${TUNNEL_DEVICE}`);
  if (!isKept) {
    // No checksum over the outer packet: the inner one has its own, and offloading of the outer one is broken
    // behind some network cards (RFC 7348 asks for zero over IPv4).
    batch.push(
      line`link add ${TUNNEL_DEVICE} address ${mac} type vxlan id ${TUNNEL_VNI} local ${self.address} dstport ${port} nolearning ${v6 ? line`udp6zerocsumtx udp6zerocsumrx` : line`noudpcsum`}`,
    );
  }
  if (!addresses.includes(own)) batch.push(line`addr add ${own}/32 dev ${TUNNEL_DEVICE}`);
  batch.push(
    line`link set ${TUNNEL_DEVICE} mtu ${mtuBytes} addrgenmode none up`,
    // A removed task answers nothing: an ICMP error would end a client's attempt to connect.
    line`route replace blackhole ${self.subnet}`,
  );
  const batchV6: Line[] = [
    line`addr replace ${ingressIpv6(own)}/128 dev ${TUNNEL_DEVICE} nodad`,
    line`route replace blackhole ${ingressIpv6Subnet(self.subnet)}`,
  ];
  const stale = addresses.filter((address) => address !== own);
  return { mtuBytes, isKept, isReplaced, stale, batch, batchV6 };
}

/** What removes the node's address and block of another ingress network. */
export function staleLines(
  addresses: readonly Ipv4Address[],
  blocks: readonly SubnetText[],
): { readonly v4: readonly Line[]; readonly v6: readonly Line[] } {
  return {
    v4: [
      ...addresses.map((address) => line`addr del ${address}/32 dev ${TUNNEL_DEVICE}`),
      ...blocks.map((block) => line`route del blackhole ${block}`),
    ],
    v6: [
      ...addresses.map(
        (address) => line`addr del ${ingressIpv6(address)}/128 dev ${TUNNEL_DEVICE}`,
      ),
      ...blocks.map((block) => line`route del blackhole ${ingressIpv6Subnet(block)}`),
    ],
  };
}

function ipv4Of({ local }: { readonly local?: string }): readonly Ipv4Address[] {
  const address = parseIpv4(local);
  return address === undefined ? [] : [address];
}

/** IPv6 addresses from which this host's own packets may come, in order; at most NODE_IPV6_LIMIT. */
export function hostIpv6(links: readonly LinkListing[]): readonly IpAddress[] {
  const addresses = new Set<IpAddress>();
  for (const { ifname, addr_info = [] } of links) {
    if (ifname === TUNNEL_DEVICE || ifname.startsWith(TASK_LINK_PREFIX)) continue;
    for (const { local, scope } of addr_info) {
      const address = parseIpAddress(local);
      if (address !== undefined && isIpv6(address) && scope === 'global') addresses.add(address);
    }
  }
  return [...addresses].sort().slice(0, NODE_IPV6_LIMIT);
}
