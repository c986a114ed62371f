import { type IpAddress, isIpv6 } from '@swarm/api';
import type { TableFamily } from '../layout.js';

/** An IP version, as nft and `ip` name it. */
export interface Family {
  /** Of a table, and of a packet's header in rules. */
  readonly name: 'ip' | 'ip6';
  readonly version: 4 | 6;
  /** Type of addresses in sets. */
  readonly addressType: 'ipv4_addr' | 'ipv6_addr';
}

export const IPV4: Family = {
  name: 'ip',
  version: 4,
  addressType: 'ipv4_addr',
};
export const IPV6: Family = {
  name: 'ip6',
  version: 6,
  addressType: 'ipv6_addr',
};

/**
 * First words of a rule that no packet of the other family may match, with a blank: IPv4's share a table with
 * published ports of both. Empty in a table of one family, where nft refuses them.
 */
export function only({ version }: Family, { family }: { readonly family: TableFamily }): string {
  return version === 4 && family === 'inet' ? 'meta nfproto ipv4 ' : '';
}

export function familyOf(address: IpAddress): Family {
  return isIpv6(address) ? IPV6 : IPV4;
}
