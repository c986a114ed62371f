import {
  ENDPOINT_MARK_BITS,
  INGRESS_VNI,
  type IpAddress,
  MARK_BITS,
  MESH_PROBE_PORT,
  NODE_INDEX_LAST,
} from '@swarm/api';
import { addressBytes, type Ipv4Address } from './address.js';
import type { Word } from './kernel/words.js';

/**
 * Everything that packets, routes and devices of the mesh carry, in one place. The nodes of a cluster must
 * agree on the tunnel's parts; the rest is local to a node.
 */

/** Name of a network device, at most 15 characters. */
export type LinkName = Word & { readonly __link: never };
/** A task's id that is safe as an alias and in a name: letters and digits, at most 64. */
export type TaskId = Word & { readonly __task: never };
/** A network's id that is safe as part of an alias. */
export type NetworkId = Word & { readonly __network: never };
/** An Ethernet address: `02:00:00:00:00:01`. */
export type Mac = Word & { readonly __mac: never };

/**
 * Family of our table: `inet` for IPv4 and IPv6, `ip` where the kernel has no IPv6. The one that a node does
 * not use goes with the first transaction: a version or a kernel of before may have left it.
 */
export type TableFamily = 'inet' | 'ip';
/** Those, and that of the table for overlay networks with IPv6. */
export type NftFamily = TableFamily | 'ip6';

/** Our nftables table; we touch nothing else of the packet filter but this and the next. */
export const TABLE = 'swarm_mesh';
/** The table with the limits of our connections, which outlives the other. */
export const TIMEOUT_TABLE = 'swarm_timeouts';
/** The tunnel device between nodes. */
export const TUNNEL_DEVICE = 'swarm-vxlan' as LinkName;
/** The device to nodes with which this one uses WireGuard. */
export const WIREGUARD_DEVICE = 'swarm-wg' as LinkName;
/** The device to nodes with which this one uses IPsec. */
export const IPSEC_DEVICE = 'swarm-ipsec' as LinkName;
/** Made and removed at once, to see whether the kernel has such devices. */
export const IPSEC_PROBE_DEVICE = 'swarm-probe' as LinkName;
/** Ties policies and associations of IPsec to our device; no other program may use it. */
export const IPSEC_INTERFACE_ID = 0x7377726d;
/**
 * Bytes that encryption adds, beyond what VXLAN does: WireGuard takes 60 with an outer IPv4 header (that 20, UDP 8, its
 * own 32), ESP at most 57 (20, header 8, nonce 8, padding and trailer 5, tag 16).
 */
export const ENCRYPTION_EXTRA_BYTES = 10;
/** Our second nftables table: what keeps clear packets of encrypted networks in and out. */
export const ENCRYPTION_TABLE = 'swarm_encryption' as Word;
/** VXLAN network identifier of the ingress network. */
export const TUNNEL_VNI = INGRESS_VNI;
/** Default UDP port of the tunnel (IANA's for VXLAN, RFC 7348). */
export const DEFAULT_DATA_PATH_PORT = 4789;
/** UDP port of the probes between nodes' mesh addresses: nobody can publish it. */
export const PROBE_PORT = MESH_PROBE_PORT;
/** Bytes VXLAN adds: outer IP header, UDP 8, VXLAN 8, inner Ethernet 14. */
export const TUNNEL_OVERHEAD_V4_BYTES = 50;
export const TUNNEL_OVERHEAD_V6_BYTES = 70;

/** Host ends of tasks' links start with this; 12 characters of the task id follow (the limit is 15). */
export const TASK_LINK_PREFIX = 'swt';
const TASK_LINK_ID_CHARS = 12;
/** For links after a task's first: fewer characters of its id, `-`, and a digit that tells them apart. */
const NEXT_LINK_ID_CHARS = 10;
const TASK_LINK = /^swt(?:[A-Za-z0-9]{1,12}|[A-Za-z0-9]{1,10}-[1-9a-f])$/;
/** Networks of one task: one digit of a link's name tells them apart. */
export const MAX_ATTACHMENTS = 16;
/** A task's gateway: link-local, the same in every task, with a permanent neighbour entry. */
export const TASK_GATEWAY = '169.254.1.1' as Ipv4Address;
/** The same for IPv6. */
export const TASK_GATEWAY_V6 = 'fe80::1' as IpAddress;
/** Within a task, packets from the address of link n > 0 use the routing table with this number plus n. */
export const TASK_TABLE_BASE = 100;

/** Peer index in packet and connection marks: the upper bits. */
export const PEER_MARK_SHIFT = ENDPOINT_MARK_BITS;
export const PEER_MARK_MASK = 2 ** MARK_BITS - 2 ** ENDPOINT_MARK_BITS;
/** Endpoint ids in connection marks: the lower bits; below the first are slot numbers. */
export const FIRST_ENDPOINT_ID = 0x1000;
export const LAST_ENDPOINT_ID = 2 ** (ENDPOINT_MARK_BITS - 1) - 1;
/**
 * Marks of published ports that IPVS balances: an upper part of the endpoint ids, which that backend does not use. Bits
 * 16 and 17 are the protocol, those below the port. IPVS services with these marks are ours, all others are not.
 */
export const FIRST_IPVS_MARK = 0x40000;
export const LAST_IPVS_MARK = 0x6ffff;
/** Of services made and removed at once, to see what the kernel has. */
export const IPVS_PROBE_MARK = LAST_IPVS_MARK + 1;
/** The upper half of the ids is for tasks behind virtual addresses. */
export const FIRST_MEMBER_ID = LAST_ENDPOINT_ID + 1;
export const LAST_MEMBER_ID = 2 ** ENDPOINT_MARK_BITS - 1;
export const MAX_PEER_INDEX = NODE_INDEX_LAST;

/** Conntrack zone of peer k is this plus k. */
export const ZONE_BASE = 0x7000;
/** Routing table of the return path through peer k is this plus k. */
export const RETURN_TABLE_BASE = 0x7a0000;
/**
 * Routing rules, in this order: unmarked packets skip to the end; a dispatcher by the upper six bits of
 * the index; per group the peers, so that no packet passes more than 128 rules in a cluster of 4095.
 * The last rule does nothing, so that packets still pass the rules of others after it.
 */
export const RULE_PREF_SKIP = 12_000;
export const RULE_PREF_GROUP = 12_001;
export const RULE_PREF_PEER = 12_100;
export const RULE_PREF_END = 17_000;

/** Routes to members of overlay networks on other nodes: a table beside those of the return paths. */
export const OVERLAY_TABLE = RETURN_TABLE_BASE + 0x1000;
/** The rule that looks there, before the main table and its default route. */
export const RULE_PREF_OVERLAY = RULE_PREF_END + 1;
/** Marks our routes in tables of others; see `/etc/iproute2/rt_protos`, where nobody has it. */
export const ROUTE_PROTOCOL = 83;
/** Of the route that catches what a network does not have: any real route to the same subnet comes first. */
export const CATCH_METRIC = 65_000;

/** The mark of peer `index`. */
export function peerMark(index: number): number {
  return (index << PEER_MARK_SHIFT) >>> 0;
}

/** The tunnel device's MAC on node `index`: locally administered, so it belongs to no vendor. */
export function peerMac(index: number): Mac {
  return `02:00:00:00:${hex(index >> 8)}:${hex(index & 0xff)}` as Mac;
}

/**
 * The gateway of IPv6 routes to peer `index`: link-local, so that it is valid whatever else the host routes.
 * Only a permanent neighbour entry has it, never a device.
 */
export function peerGatewayV6(index: number): IpAddress {
  return `fe80::${index.toString(16)}` as IpAddress;
}

/** Parses a task's id; undefined if it cannot be one. */
export function parseTaskId(text: unknown): TaskId | undefined {
  return typeof text === 'string' && /^[A-Za-z0-9]{1,64}$/.test(text)
    ? (text as TaskId)
    : undefined;
}

/** Parses a network's id; undefined if it cannot be one. */
export function parseNetworkId(text: unknown): NetworkId | undefined {
  return typeof text === 'string' && /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(text)
    ? (text as NetworkId)
    : undefined;
}

/** Name of the host end of a task's link, by the position of its network among the task's. */
export function taskLinkName(taskId: TaskId, place = 0): LinkName {
  const name =
    place === 0
      ? taskId.slice(0, TASK_LINK_ID_CHARS)
      : `${taskId.slice(0, NEXT_LINK_ID_CHARS)}-${place.toString(MAX_ATTACHMENTS)}`;
  return (TASK_LINK_PREFIX + name) as LinkName;
}

/** Position of the network whose link has this name. */
export function placeOfLink(link: LinkName): number {
  const digit = /-([1-9a-f])$/.exec(link)?.[1];
  return digit === undefined ? 0 : Number.parseInt(digit, MAX_ATTACHMENTS);
}

/** Name of the task's end: `eth0`, `eth1` and so on. */
export function taskDeviceName(place: number): LinkName {
  return `eth${place}` as LinkName;
}

/** Whether a device's name is that of a task's link. */
export function isTaskLinkName(name: unknown): name is LinkName {
  return typeof name === 'string' && TASK_LINK.test(name);
}

/**
 * MACs of a task's link, derived from one of its addresses (for IPv6, from the last four bytes), so that the
 * neighbour entries of both ends are known beforehand and nothing has to be stored. Which address does not
 * matter: a link is a wire of its own, on which no third device could have the same MAC.
 */
export function taskMacs(address: IpAddress): { host: Mac; task: Mac } {
  const bytes = addressBytes(address).slice(-4).map(hex);
  return {
    host: `02:01:${bytes.join(':')}` as Mac,
    task: `02:02:${bytes.join(':')}` as Mac,
  };
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}
