import { type IpAddress, isIpv6 } from '@swarm/api/address';

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
