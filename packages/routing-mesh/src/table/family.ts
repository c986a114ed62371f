import { type IpAddress, isIpv6 } from '@swarm/api';

/** An IP version, as nft and `ip` name it. */
export interface Family {
  /** Of a table, and of a packet's header in rules. */
  readonly name: 'ip' | 'ip6';
  readonly version: 4 | 6;
  /** Type of addresses in sets. */
  readonly addressType: 'ipv4_addr' | 'ipv6_addr';
  /** A rule's first words: in a table of both families, other packets must not match. */
  readonly only: string;
}

export const IPV4: Family = {
  name: 'ip',
  version: 4,
  addressType: 'ipv4_addr',
  only: 'meta nfproto ipv4',
};
export const IPV6: Family = {
  name: 'ip6',
  version: 6,
  addressType: 'ipv6_addr',
  only: 'meta nfproto ipv6',
};

export function familyOf(address: IpAddress): Family {
  return isIpv6(address) ? IPV6 : IPV4;
}
