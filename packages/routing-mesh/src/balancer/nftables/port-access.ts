import { isIpv6, isLoopback, type IpAddress } from '@swarm/api';
import type { Ipv4Address } from '../../address.js';
import { isUnspecified } from '../../port-options.js';
import type { SetName } from '../../table/element-changes.js';

/** On which of the node's addresses a port is reached. */
export interface PortAccess {
  /** The only IPv4 addresses that the kernel leads elsewhere; undefined: all. */
  readonly only: readonly IpAddress[] | undefined;
  /** The same for IPv6; empty: none. */
  readonly onlyV6: readonly IpAddress[] | undefined;
  /** Where a listener serves it: loopback addresses, and IPv6 while no endpoint takes that. */
  readonly listen: readonly string[];
}

/**
 * What the host address of a port means on a node.
 * @param isProxied a listener serves all of it
 * @param own the node's address on the mesh, which listeners dial: the kernel leads it on whatever the port's address
 */
export function portAccess(
  hostIp: IpAddress | undefined,
  own: Ipv4Address,
  isProxied = false,
): PortAccess {
  if (isProxied)
    return { only: [own], onlyV6: [], listen: hostIp === undefined ? ['0.0.0.0', '::'] : [hostIp] };
  if (hostIp === undefined)
    return { only: undefined, onlyV6: undefined, listen: ['127.0.0.1', '::'] };
  const isV6 = isIpv6(hostIp);
  if (isUnspecified(hostIp)) {
    return isV6
      ? { only: [own], onlyV6: undefined, listen: [hostIp] }
      : { only: undefined, onlyV6: [], listen: ['127.0.0.1'] };
  }
  if (isLoopback(hostIp)) return { only: [own], onlyV6: [], listen: [hostIp] };
  return isV6
    ? { only: [own], onlyV6: [hostIp], listen: [hostIp] }
    : { only: [own, hostIp], onlyV6: [], listen: [] };
}

/**
 * The set elements that restrict a port to its addresses.
 * @param key `tcp . 80`
 */
export function accessElements(
  { only, onlyV6 }: PortAccess,
  key: string,
  hasV6: boolean,
): readonly (readonly [SetName, string])[] {
  const elements: (readonly [SetName, string])[] = [];
  if (only !== undefined) {
    elements.push(['restricted', key]);
    for (const address of only) elements.push(['allowed', `${address} . ${key}`]);
  }
  if (hasV6 && onlyV6 !== undefined) {
    elements.push(['restricted_v6', key]);
    for (const address of onlyV6) elements.push(['allowed_v6', `${address} . ${key}`]);
  }
  return elements;
}
