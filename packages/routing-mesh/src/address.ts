import { type IpAddress, isIpv6, parseIpAddress } from '@swarm/api';
import type { Word } from './kernel/words.js';

/** An IPv4 address as a dotted quad. */
export type Ipv4Address = IpAddress & { readonly __ipv4: never };
/** An IPv4 network as `10.240.3.0/24`, without host bits. Made only by {@link parseCidr} and {@link cidrOf}. */
export type Cidr = Word & { readonly __cidr: never };

/** An IPv4 network. */
export interface Network {
  /** First address, as a number. */
  readonly base: number;
  readonly prefixLength: number;
}

/** Parses an IPv4 address; undefined for anything else. */
export function parseIpv4(text: unknown): Ipv4Address | undefined {
  const address = parseIpAddress(text);
  return address === undefined || isIpv6(address) ? undefined : (address as Ipv4Address);
}

/** Parses `10.240.3.0/24`; undefined if it is not an IPv4 network or has host bits set. */
export function parseCidr(text: unknown): Cidr | undefined {
  if (typeof text !== 'string') return undefined;
  const match = /^([0-9.]+)\/(\d{1,2})$/.exec(text);
  const address = parseIpv4(match?.[1]);
  const prefixLength = Number(match?.[2]);
  if (match === null || address === undefined || prefixLength > 32) return undefined;
  if (addressToNumber(address) % 2 ** (32 - prefixLength) !== 0) return undefined;
  return `${address}/${prefixLength}` as Cidr;
}

/** The network as text. */
export function cidrOf({ base, prefixLength }: Network): Cidr {
  return `${numberToAddress(base)}/${prefixLength}` as Cidr;
}

/** The network as numbers. */
export function networkOf(cidr: Cidr): Network {
  const [address, length] = cidr.split('/');
  return { base: addressToNumber(address as Ipv4Address), prefixLength: Number(length) };
}

/** First host address: the node's own in its block. */
export function firstHost(cidr: Cidr): Ipv4Address {
  return numberToAddress(networkOf(cidr).base + 1);
}

/** Whether the network holds the address. */
export function contains(network: Network, address: IpAddress): boolean {
  if (isIpv6(address)) return false;
  const offset = addressToNumber(address as Ipv4Address) - network.base;
  return offset >= 0 && offset < 2 ** (32 - network.prefixLength);
}

/** Whether a task can have the address: it is in the block, and not its network, node or broadcast address. */
export function isTaskAddress(network: Network, address: IpAddress): boolean {
  if (!contains(network, address)) return false;
  const offset = addressToNumber(address as Ipv4Address) - network.base;
  return offset >= 2 && offset < 2 ** (32 - network.prefixLength) - 1;
}

/** All addresses of the network that tasks can have. */
export function taskAddresses(cidr: Cidr): Ipv4Address[] {
  const { base, prefixLength } = networkOf(cidr);
  const size = 2 ** (32 - prefixLength);
  return Array.from({ length: Math.max(0, size - 3) }, (_, i) => numberToAddress(base + 2 + i));
}

/** Converts a dotted quad to a number, 0 to 2^32-1. */
export function addressToNumber(address: Ipv4Address): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

/** Converts a number to a dotted quad. */
export function numberToAddress(value: number): Ipv4Address {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff).join('.') as Ipv4Address;
}

/** The 4 or 16 bytes of an address. */
export function addressBytes(address: IpAddress): number[] {
  if (!isIpv6(address)) return address.split('.').map(Number);
  const [head = '', tail] = address.split('::');
  const words = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16));
  const first = words(head);
  const last = words(tail ?? '');
  const gap = new Array<number>(8 - first.length - last.length).fill(0);
  return [...first, ...gap, ...last].flatMap((word) => [word >> 8, word & 0xff]);
}
