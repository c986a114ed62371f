import {
  INGRESS_PREFIX_LONGEST,
  INGRESS_PREFIX_SHORTEST,
  INGRESS_SUBNET,
  type MeshIngress,
  MTU_MAX_BYTES,
  MTU_MIN_BYTES,
  Subnet,
} from '@swarm/api';
import { type SubnetText, subnetText } from './address.js';
import { BadPart, fieldsOf } from './bad-part.js';

/** RFC 8200, section 5. */
export const IPV6_MTU_MIN_BYTES = 1280;

/** The ingress network, checked. */
export interface CheckedIngress {
  /** All nodes' blocks are cut from it. */
  readonly subnet: SubnetText;
  /** Largest packet on it; undefined: whatever fits into the tunnel. */
  readonly mtuBytes: number | undefined;
}

/** What managers that name none mean. */
export const DEFAULT_INGRESS: CheckedIngress = {
  subnet: subnetText(Subnet.of(INGRESS_SUBNET))!,
  mtuBytes: undefined,
};

/** @throws BadPart */
export function readIngress(value: MeshIngress | undefined): CheckedIngress {
  if (value === undefined) return DEFAULT_INGRESS;
  const { subnet: text, mtuBytes } = fieldsOf(value, 'the ingress network');
  const parsed = Subnet.parse(text);
  const subnet = subnetText(parsed);
  if (parsed === undefined || subnet === undefined)
    throw new BadPart('the subnet of the ingress network is not an IPv4 one');
  if (
    parsed.prefixLength < INGRESS_PREFIX_SHORTEST ||
    parsed.prefixLength > INGRESS_PREFIX_LONGEST
  ) {
    throw new BadPart(
      `the ingress network ${subnet} is not within /${INGRESS_PREFIX_SHORTEST} to /${INGRESS_PREFIX_LONGEST}`,
    );
  }
  if (mtuBytes === undefined) return { subnet, mtuBytes };
  const bytes = Number.isInteger(mtuBytes) ? (mtuBytes as number) : 0;
  if (bytes < MTU_MIN_BYTES || bytes > MTU_MAX_BYTES)
    throw new BadPart(
      `the MTU of the ingress network is not within ${MTU_MIN_BYTES} to ${MTU_MAX_BYTES}`,
    );
  return { subnet, mtuBytes: bytes };
}

export function sameIngress(a: CheckedIngress, b: CheckedIngress): boolean {
  return a.subnet === b.subnet && a.mtuBytes === b.mtuBytes;
}

/** Whether its packets can be IPv6. */
export function carriesIpv6({ mtuBytes }: CheckedIngress): boolean {
  return mtuBytes === undefined || mtuBytes >= IPV6_MTU_MIN_BYTES;
}
