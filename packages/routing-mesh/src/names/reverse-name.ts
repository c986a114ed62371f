import { type IpAddress, parseIpAddress } from '@swarm/api/address';

const V4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/;
const V6 = /^((?:[0-9a-f]\.){32})ip6\.arpa$/;

/**
 * The address that a reverse name asks about (RFC 1035, section 3.5; RFC 3596, section 2.5); undefined if it is
 * another name.
 * @param name in lower case
 */
export function reversedAddress(name: string): IpAddress | undefined {
  // Most names end elsewhere.
  if (!name.endsWith('.arpa')) return undefined;
  const v4 = V4.exec(name);
  if (v4 !== null) return parseIpAddress(v4.slice(1).reverse().join('.'));
  const v6 = V6.exec(name)?.[1];
  if (v6 === undefined) return undefined;
  const digits = v6.replaceAll('.', '').split('').reverse().join('');
  return parseIpAddress(digits.match(/.{4}/g)!.join(':'));
}
