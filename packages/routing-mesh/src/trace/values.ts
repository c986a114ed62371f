import { parseIpAddress } from '@swarm/api';
import { addressBytes } from '../address.js';
import { UnknownNftTextError } from './nft-tokens.js';

/** Types of set keys and of what packets carry. */
export type NftType =
  | 'ipv4_addr'
  | 'ipv6_addr'
  | 'ether_addr'
  | 'inet_proto'
  | 'inet_service'
  | 'ifname'
  | 'mark'
  | 'ct zone'
  | 'verdict';

const TYPES: readonly string[] = [
  'ipv4_addr',
  'ipv6_addr',
  'ether_addr',
  'inet_proto',
  'inet_service',
  'ifname',
  'mark',
  'ct zone',
  'verdict',
] satisfies readonly NftType[];

/** Types in the order of a concatenation: `inet_proto . inet_service`. */
export function readTypes(text: string): readonly NftType[] {
  const typeOf: Readonly<Record<string, NftType>> = { 'ether saddr': 'ether_addr' };
  return text.split(' . ').map((name) => {
    const type = typeOf[name] ?? name;
    if (!TYPES.includes(type)) throw new UnknownNftTextError('the type', name);
    return type as NftType;
  });
}

/**
 * The one way in which a value is written here, so that equal values are equal texts: numbers in decimal, names
 * without quotes, addresses as they are usually shortened.
 */
export function canonical(type: NftType, text: string): string {
  switch (type) {
    case 'ipv4_addr':
    case 'ipv6_addr': {
      const address = parseIpAddress(text);
      if (address === undefined) throw new UnknownNftTextError('the address', text);
      return address;
    }
    case 'ether_addr':
      return text.toLowerCase();
    case 'inet_proto':
    case 'verdict':
      return text;
    case 'ifname':
      return unquoted(text);
    case 'inet_service':
    case 'mark':
    case 'ct zone':
      return String(readNumber(text));
  }
}

export function readNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new UnknownNftTextError('the number', text);
  return value;
}

export function unquoted(text: string): string {
  return text.startsWith('"') ? text.slice(1, -1) : text;
}

/** Whether a value is the other, or an address in the prefix that the other is: `10.240.0.0/12`. */
export function covers(prefix: string, value: string): boolean {
  const at = prefix.indexOf('/');
  if (at === -1) return prefix === value;
  const address = parseIpAddress(value);
  const base = parseIpAddress(prefix.slice(0, at));
  if (base === undefined) throw new UnknownNftTextError('the prefix', prefix);
  if (address === undefined) return false;
  const bytes = addressBytes(address);
  const baseBytes = addressBytes(base);
  if (bytes.length !== baseBytes.length) return false;
  let bits = readNumber(prefix.slice(at + 1));
  return baseBytes.every((byte, i) => {
    const shift = 8 - Math.max(0, Math.min(8, bits));
    bits -= 8;
    return byte >> shift === bytes[i]! >> shift;
  });
}
