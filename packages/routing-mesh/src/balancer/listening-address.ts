import type { IpAddress } from '@swarm/api';
import { type Ipv4Address, parseIpv4 } from '../address.js';

/**
 * Which of a task's addresses clients of its host ports are led to: the first IPv4 one, on whichever network.
 * All of them are of the one namespace that the task listens in, so none is better than another.
 */
export function ipv4Address(addresses: readonly IpAddress[]): Ipv4Address | undefined {
  for (const address of addresses) {
    const found = parseIpv4(address);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The same where a proxy dials the task, which it can over IPv6 too. */
export function dialledAddress(addresses: readonly IpAddress[]): IpAddress | undefined {
  return ipv4Address(addresses) ?? addresses.at(0);
}
