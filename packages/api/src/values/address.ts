import ipaddr from 'ipaddr.js';

/** An IP address in its canonical spelling: `198.18.0.1`, `fd00::1`. Only made by {@link parseIpAddress}. */
export type IpAddress = string & { readonly __ipAddress: never };

/** Longest text that is parsed as an address, in characters. */
const ADDRESS_TEXT_LIMIT = 64;
/** Four decimal parts up to 255 without leading zeros. */
const CANONICAL_IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.|$)){4}(?<!\.)$/;
/** Longest host name, RFC 1035 section 2.3.4. */
const HOST_NAME_LIMIT = 253;
const HOST_LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/i;

/**
 * Reads an IPv4 address of four decimal parts, or an IPv6 address without a zone. An IPv4 address mapped
 * into IPv6 is the IPv4 address. Undefined for anything else, so the result is safe as a word of a command.
 */
export function parseIpAddress(text: unknown): IpAddress | undefined {
  if (typeof text !== 'string' || text.length > ADDRESS_TEXT_LIMIT) return undefined;
  // Most are canonical; ipaddr.js takes thirty times as long, and every write reads objects.
  if (CANONICAL_IPV4.test(text)) return text as IpAddress;
  // ipaddr.js also reads octal and hexadecimal parts, and zones; here they are not addresses.
  if (ipaddr.IPv4.isValidFourPartDecimal(text))
    return ipaddr.IPv4.parse(text).toString() as IpAddress;
  if (text.includes('%') || !ipaddr.IPv6.isValid(text)) return undefined;
  return ipaddr.process(text).toString() as IpAddress;
}

export function isIpv6(address: IpAddress): boolean {
  return address.includes(':');
}

/** Whether the address is the host's own: 127.0.0.0/8 or ::1. */
export function isLoopback(address: IpAddress): boolean {
  return ipaddr.parse(address).range() === 'loopback';
}

/** Ranges of the IANA special-purpose registries in which no host can reach another. */
const NOT_A_HOST = new Set(['unspecified', 'broadcast', 'multicast', 'linkLocal']);

/**
 * Whether another host can send to the address: neither unspecified, broadcast, multicast nor link-local.
 * A loopback address passes: nodes without root share one host.
 */
export function isHostAddress(address: IpAddress): boolean {
  const parsed = ipaddr.parse(address);
  if (parsed.kind() === 'ipv4' && address.startsWith('0.')) return false;
  return !NOT_A_HOST.has(parsed.range());
}

/** A TCP or UDP port, 1 to 65535. */
export function isPort(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 65_535;
}

/** Where a node listens. */
export interface HostPort {
  /** An address in canonical form, or a host name. */
  readonly host: string;
  readonly port: number;
}

/** Reads `host:port` and `[v6]:port`; undefined when it is neither. */
export function parseHostPort(text: unknown): HostPort | undefined {
  if (typeof text !== 'string' || text.length > HOST_NAME_LIMIT + 8) return undefined;
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || !isPort(port)) return undefined;
  const [, inBrackets, plain] = match;
  if (inBrackets !== undefined) {
    const address = parseIpAddress(inBrackets);
    return address !== undefined && inBrackets.includes(':') ? { host: address, port } : undefined;
  }
  const host = parseIpAddress(plain) ?? (isHostName(plain!) ? plain! : undefined);
  return host === undefined ? undefined : { host, port };
}

/** Whether the text can be a host's name: labels of letters, digits, `-` and `_`, the last not only digits. */
export function isHostName(text: string): boolean {
  if (text.length === 0 || text.length > HOST_NAME_LIMIT) return false;
  // With a last label of digits only it is a mistyped address (RFC 3696 section 2).
  const labels = text.split('.');
  return labels.every((label) => HOST_LABEL.test(label)) && !/^\d+$/.test(labels.at(-1)!);
}

/** `host:port`, with brackets around an IPv6 address. */
export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * The network of `prefixBits` bits that an address is in, in CIDR notation: `198.18.3.0/24`.
 * @throws RangeError when the address does not have that many bits
 */
export function networkOf(address: IpAddress, prefixBits: number): string {
  const bytes = ipaddr.parse(address).toByteArray();
  if (prefixBits < 0 || prefixBits > bytes.length * 8)
    throw new RangeError(`no prefix of ${prefixBits} bits in ${address}`);
  const masked = bytes.map((byte, index) => {
    const bits = Math.min(8, Math.max(0, prefixBits - index * 8));
    return byte & (0xff << (8 - bits));
  });
  return `${ipaddr.fromByteArray(masked).toString()}/${prefixBits}`;
}

/** An address and how many of its bits name the network. */
export interface Cidr {
  readonly address: IpAddress;
  /** 0 to 32, or to 128 for IPv6. */
  readonly prefixLength: number;
}

/** Reads `10.240.3.0/24`; undefined when the text is not in CIDR notation. */
export function parseCidr(text: unknown): Cidr | undefined {
  if (typeof text !== 'string') return undefined;
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  const address = parseIpAddress(match?.[1]);
  if (match === null || address === undefined) return undefined;
  const prefixLength = Number(match[2]);
  return prefixLength <= (isIpv6(address) ? 128 : 32) ? { address, prefixLength } : undefined;
}
