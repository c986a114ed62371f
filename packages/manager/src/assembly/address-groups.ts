import { isIpv6, networkOf, parseIpAddress } from '@swarm/api';

/**
 * Whom a connection is counted with, widest first. One host holds a whole IPv6 /64, and one customer a
 * whole /48, so neither number of addresses says how many attackers there are.
 */
export type AddressGroups = readonly [network: string, host: string];

const HOST_BITS_V6 = 64;
const NETWORK_BITS_V6 = 48;
const NETWORK_BITS_V4 = 24;

/** @param remoteAddress as a socket gives it, with a zone or not; what is no address has one group */
export function groupsOf(remoteAddress: string): AddressGroups {
  const address = parseIpAddress(remoteAddress.replace(/%.*$/, ''));
  if (address === undefined) return ['', ''];
  return isIpv6(address)
    ? [networkOf(address, NETWORK_BITS_V6), networkOf(address, HOST_BITS_V6)]
    : [networkOf(address, NETWORK_BITS_V4), address];
}
