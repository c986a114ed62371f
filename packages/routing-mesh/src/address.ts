import {
  INGRESS_IPV6_SUBNET,
  type IpAddress,
  isIpv6,
  NODE_ADDRESS_OFFSET,
  nodeBlock,
  parseIpAddress,
  Subnet,
  TASK_OFFSET_FIRST,
  taskOffsetLast,
} from '@swarm/api';
import { addressBytes } from './address-bytes.js';
import type { Word } from './kernel/words.js';

export { addressBytes };

/** An IPv4 address as a dotted quad. */
export type Ipv4Address = IpAddress & { readonly __ipv4: never };
/** An IPv6 address in its shortest spelling. */
export type Ipv6Address = IpAddress & { readonly __ipv6: never };
/** An IPv4 subnet as a word of commands: `10.240.3.0/24`. Made only by {@link subnetText}. */
export type SubnetText = Word & { readonly __subnet: never };

/** An IPv6 subnet as a word of commands. Made only by {@link ingressIpv6Subnet}. */
export type Ipv6SubnetText = Word & { readonly __subnet6: never };

/**
 * Where the ingress network's IPv6 addresses are (a unique local prefix, RFC 4193), the same in every cluster.
 * The last four bytes are those of the IPv4 address, so that every node derives a task's IPv6 address, and a
 * node's block, from what it knows anyway: nothing has to be allocated or sent.
 */
const [INGRESS_IPV6_PREFIX, INGRESS_IPV6_BITS] = INGRESS_IPV6_SUBNET.split('/') as [string, string];
const INGRESS_IPV6_PREFIX_LENGTH = Number(INGRESS_IPV6_BITS);

/** The IPv6 address on the ingress network of whoever has this IPv4 address there. */
export function ingressIpv6(address: Ipv4Address): Ipv6Address {
  return parseIpAddress(`${INGRESS_IPV6_PREFIX}${ipv4Words(address)}`) as Ipv6Address;
}

/** The IPv6 addresses of a subnet of the ingress network. */
export function ingressIpv6Subnet(subnet: SubnetText): Ipv6SubnetText {
  const [address, length] = subnet.split('/') as [Ipv4Address, string];
  return `${ingressIpv6(address)}/${INGRESS_IPV6_PREFIX_LENGTH + Number(length)}` as Ipv6SubnetText;
}

/** The IPv4 address that an IPv6 address of the ingress network is derived from; undefined for others. */
export function derivedFrom(address: IpAddress): Ipv4Address | undefined {
  if (!isIpv6(address)) return undefined;
  const bytes = addressBytes(address);
  const ipv4 = parseIpv4(bytes.slice(-4).join('.'));
  return ipv4 !== undefined && ingressIpv6(ipv4) === address ? ipv4 : undefined;
}

/** The last four bytes of an address as IPv6 spells them: `af0:302`. */
function ipv4Words(address: Ipv4Address): string {
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

/** Parses an IPv4 address; undefined for anything else. */
export function parseIpv4(text: unknown): Ipv4Address | undefined {
  const address = parseIpAddress(text);
  return address === undefined || isIpv6(address) ? undefined : (address as Ipv4Address);
}

/** The subnet as text; undefined when it is not an IPv4 one. */
export function subnetText(subnet: Subnet | undefined): SubnetText | undefined {
  return subnet === undefined || subnet.isIpv6 ? undefined : (subnet.toString() as SubnetText);
}

/** The block of the node with this index; undefined when the network has none. */
export function nodeBlockText(network: SubnetText, index: number): SubnetText | undefined {
  return subnetText(nodeBlock(Subnet.of(network), index));
}

/** The node's own address in its block. */
export function nodeAddress(block: SubnetText): Ipv4Address {
  return Subnet.of(block).addressAt(NODE_ADDRESS_OFFSET) as Ipv4Address;
}

/** All addresses of the block that a task can have. */
export function taskAddresses(block: SubnetText): Ipv4Address[] {
  const subnet = Subnet.of(block);
  const count = taskOffsetLast(subnet) - TASK_OFFSET_FIRST + 1;
  return Array.from(
    { length: Math.max(0, count) },
    (_, i) => subnet.addressAt(TASK_OFFSET_FIRST + i) as Ipv4Address,
  );
}

/** The address of IPv6 that goes with one of IPv4 on the ingress network, if it is one. */
export function derivedAddresses(address: IpAddress): readonly IpAddress[] {
  const ipv4 = parseIpv4(address);
  return ipv4 === undefined ? [] : [ingressIpv6(ipv4)];
}
