import { isIpv6, networkOf, parseIpAddress } from '@swarm/api';

/**
 * The groups that limits count an address in, widest first. One host has a whole IPv6 /64 and one customer a
 * whole /48, so the number of addresses does not say how many attackers there are.
 */
export type AddressGroups = readonly [network: string, host: string];

const HOST_BITS_V6 = 64;
const NETWORK_BITS_V6 = 48;
const NETWORK_BITS_V4 = 24;

/** @param remoteAddress as a socket gives it, with or without a zone; all invalid addresses share one group */
export function groupsOf(remoteAddress: string): AddressGroups {
  const address = parseIpAddress(remoteAddress.replace(/%.*$/, ''));
  if (address === undefined) return ['', ''];
  return isIpv6(address)
    ? [networkOf(address, NETWORK_BITS_V6), networkOf(address, HOST_BITS_V6)]
    : [networkOf(address, NETWORK_BITS_V4), address];
}
