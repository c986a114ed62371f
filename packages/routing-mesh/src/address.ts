import {
  type IpAddress,
  isIpv6,
  NODE_ADDRESS_OFFSET,
  parseIpAddress,
  Subnet,
  TASK_OFFSET_FIRST,
  taskOffsetLast,
} from '@swarm/api';
import type { Word } from './kernel/words.js';

export { addressBytes } from './address-bytes.js';

/** An IPv4 address as a dotted quad. */
export type Ipv4Address = IpAddress & { readonly __ipv4: never };
/** An IPv4 subnet as a word of commands: `10.240.3.0/24`. Made only by {@link subnetText}. */
export type SubnetText = Word & { readonly __subnet: never };

/** Parses an IPv4 address; undefined for anything else. */
export function parseIpv4(text: unknown): Ipv4Address | undefined {
  const address = parseIpAddress(text);
  return address === undefined || isIpv6(address) ? undefined : (address as Ipv4Address);
}

/** The subnet as text; undefined when it is not an IPv4 one. */
export function subnetText(subnet: Subnet | undefined): SubnetText | undefined {
  return subnet === undefined || subnet.isIpv6 ? undefined : (subnet.toString() as SubnetText);
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
