import { Subnet } from '../network/subnet.js';
import { parseIpAddress } from './address.js';

/** Stands for everybody in a rule. */
export const ALLOW_ANY = 'any';

/** As services are named. */
const SERVICE = /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/;
const SERVICE_LIMIT = 128;

/** Whom a rule admits. */
export type AllowSource =
  | { readonly kind: 'any' }
  | { readonly kind: 'network'; readonly subnet: Subnet }
  | { readonly kind: 'service'; readonly name: string };

/** Reads `AllowRule.From`; undefined when it is none of the three. An address is a network of its own. */
export function allowSource(from: string): AllowSource | undefined {
  if (from === ALLOW_ANY) return { kind: 'any' };
  const address = parseIpAddress(from);
  const subnet = Subnet.parse(
    address === undefined ? from : `${address}/${address.includes(':') ? 128 : 32}`,
  );
  if (subnet !== undefined) return { kind: 'network', subnet };
  if (from.includes('/') || from.includes(':') || from.length > SERVICE_LIMIT) return undefined;
  return SERVICE.test(from) ? { kind: 'service', name: from } : undefined;
}
