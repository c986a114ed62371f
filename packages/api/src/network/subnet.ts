import ipaddr from 'ipaddr.js';
import { type IpAddress, isIpv6, parseCidr } from '../values/address.js';

/** The most addresses used of one subnet. An IPv6 subnet has more; nobody gets an offset beyond. */
const SIZE_LIMIT = 2 ** 48;

/** The addresses with one prefix, IPv4 or IPv6. An address in it is named by its offset from the first. */
export class Subnet {
  readonly isIpv6: boolean;
  readonly prefixLength: number;
  /** How many offsets there are, from 0. */
  readonly size: number;
  readonly #base: bigint;

  private constructor(base: bigint, prefixLength: number, isV6: boolean) {
    this.#base = base;
    this.prefixLength = prefixLength;
    this.isIpv6 = isV6;
    this.size = Math.min(2 ** (width(isV6) - prefixLength), SIZE_LIMIT);
  }

  /** Reads `10.240.3.0/24` or `fd00::/64`; undefined when it is neither, or has bits beyond the prefix. */
  static parse(text: unknown): Subnet | undefined {
    const cidr = parseCidr(text);
    if (cidr === undefined) return undefined;
    const isV6 = isIpv6(cidr.address);
    const base = numberOf(cidr.address);
    const hostBits = BigInt(width(isV6) - cidr.prefixLength);
    if ((base >> hostBits) << hostBits !== base) return undefined;
    return new Subnet(base, cidr.prefixLength, isV6);
  }

  /** Reads `10.240.3.7/24` as the subnet that the address is in; undefined when it is not in CIDR notation. */
  static enclosing(text: unknown): Subnet | undefined {
    const cidr = parseCidr(text);
    return cidr && Subnet.around(cidr.address, cidr.prefixLength);
  }

  /** The subnet of that prefix length which the address is in. */
  static around(address: IpAddress, prefixLength: number): Subnet {
    const isV6 = isIpv6(address);
    const hostBits = BigInt(width(isV6) - prefixLength);
    return new Subnet((numberOf(address) >> hostBits) << hostBits, prefixLength, isV6);
  }

  /** As `parse`. @throws RangeError when it is not a subnet */
  static of(text: string): Subnet {
    const subnet = Subnet.parse(text);
    if (subnet === undefined) throw new RangeError(`${text} is not a subnet`);
    return subnet;
  }

  /** The subnet's first address, as a number: subnets of one family are compared by it. */
  get first(): bigint {
    return this.#base;
  }

  /** The subnet's last address, as a number. */
  get last(): bigint {
    return this.#base + (1n << BigInt(width(this.isIpv6) - this.prefixLength)) - 1n;
  }

  /** Whether the two have an address in common. */
  overlaps(other: Subnet): boolean {
    return this.isIpv6 === other.isIpv6 && this.first <= other.last && other.first <= this.last;
  }

  /** Whether every address of the other one is in this one. */
  contains(other: Subnet): boolean {
    return this.isIpv6 === other.isIpv6 && this.first <= other.first && other.last <= this.last;
  }

  /** Where the address is in the subnet; undefined when it is outside. */
  offsetOf(address: IpAddress): number | undefined {
    if (isIpv6(address) !== this.isIpv6) return undefined;
    const offset = numberOf(address) - this.#base;
    return offset >= 0n && offset < BigInt(this.size) ? Number(offset) : undefined;
  }

  /** @throws RangeError when the subnet does not have the offset */
  addressAt(offset: number): IpAddress {
    if (!Number.isInteger(offset) || offset < 0 || offset >= this.size) {
      throw new RangeError(`${this.toString()} has no address number ${offset}`);
    }
    return addressOf(this.#base + BigInt(offset), this.isIpv6);
  }

  /** The block with this number among the blocks of that prefix length; undefined when it is out of range. */
  block(prefixLength: number, index: number): Subnet | undefined {
    if (prefixLength < this.prefixLength || prefixLength > width(this.isIpv6)) return undefined;
    if (index < 0 || index >= 2 ** (prefixLength - this.prefixLength)) return undefined;
    const shift = BigInt(width(this.isIpv6) - prefixLength);
    return new Subnet(this.#base + (BigInt(index) << shift), prefixLength, this.isIpv6);
  }

  /** `10.240.3.0/24` */
  toString(): string {
    return `${addressOf(this.#base, this.isIpv6)}/${this.prefixLength}`;
  }
}

function width(isV6: boolean): 32 | 128 {
  return isV6 ? 128 : 32;
}

/** The address as a number. */
export function numberOf(address: IpAddress): bigint {
  if (!isIpv6(address)) {
    return BigInt(address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0));
  }
  const bytes = ipaddr.parse(address).toByteArray();
  return bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

function addressOf(value: bigint, isV6: boolean): IpAddress {
  if (!isV6) {
    const number = Number(value);
    return [24, 16, 8, 0].map((shift) => (number >>> shift) & 0xff).join('.') as IpAddress;
  }
  const bytes = Array.from({ length: 16 }, (_, i) =>
    Number((value >> BigInt(8 * (15 - i))) & 0xffn),
  );
  return ipaddr.fromByteArray(bytes).toString() as IpAddress;
}
