import { isIPv4, isIPv6 } from 'node:net';

/** An IPv4 network. */
export interface Network {
  /** First address, as a number. */
  readonly base: number;
  readonly prefixLength: number;
}

/** Reads `10.240.3.0/24`. Throws when it is no IPv4 network or has host bits set. */
export function parseNetwork(cidr: string): Network {
  const [address = '', length = ''] = cidr.split('/');
  const prefixLength = Number(length);
  if (!isIPv4(address) || !/^\d{1,2}$/.test(length) || prefixLength > 32) {
    throw new RangeError(`"${cidr}" is no IPv4 network; write it as 10.240.3.0/24`);
  }
  const base = addressToNumber(address);
  const size = 2 ** (32 - prefixLength);
  if (base % size !== 0) throw new RangeError(`"${cidr}" has bits set after its prefix`);
  return { base, prefixLength };
}

/** First address a host can have: the node's own in its block. */
export function firstHost(cidr: string): string {
  return numberToAddress(parseNetwork(cidr).base + 1);
}

/** Whether the network holds the address. */
export function contains(network: Network, address: string): boolean {
  if (!isIPv4(address)) return false;
  const offset = addressToNumber(address) - network.base;
  return offset >= 0 && offset < 2 ** (32 - network.prefixLength);
}

/** All addresses of the network that a task can have: no network, node or broadcast address. */
export function taskAddresses(cidr: string): string[] {
  const { base, prefixLength } = parseNetwork(cidr);
  const size = 2 ** (32 - prefixLength);
  return Array.from({ length: Math.max(0, size - 3) }, (_, i) => numberToAddress(base + 2 + i));
}

/** Dotted quad to number, 0 to 2^32-1. */
export function addressToNumber(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

/** Number to dotted quad. */
export function numberToAddress(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff).join('.');
}

/** `host:port`, with brackets around an IPv6 address. */
export function hostPort(host: string, port: number): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}
