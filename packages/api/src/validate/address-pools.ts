import { ApiError } from '../errors.js';
import { Subnet } from '../network/subnet.js';

/** Docker's default: networks of 254 addresses out of 10.0.0.0/8. */
export const DEFAULT_ADDRESS_POOLS: readonly string[] = ['10.0.0.0/8'];
export const DEFAULT_SUBNET_SIZE = 24;
/** A smaller subnet has no room for a service with its tasks. */
const SUBNET_SIZE_MAX = 29;
/** Most pools of a cluster. */
const POOLS_LIMIT = 64;

/** Where the cluster's networks get subnets from that are made without one. */
export interface AddressPools {
  /** IPv4, in CIDR notation, none overlapping another. */
  readonly pools: readonly string[];
  /** The prefix length of the subnets that they are cut into. */
  readonly subnetSize: number;
}

/** Ranges that no network of tasks can have: the kernel treats them in other ways, or hosts need them. */
const SPECIAL: readonly (readonly [range: string, what: string])[] = [
  ['0.0.0.0/8', 'addresses of no host'],
  ['127.0.0.0/8', 'loopback addresses'],
  ['169.254.0.0/16', 'link-local addresses'],
  ['224.0.0.0/4', 'multicast addresses'],
  ['240.0.0.0/4', 'reserved addresses'],
  ['::/96', 'addresses of no host'],
  ['fe80::/10', 'link-local addresses'],
  ['ff00::/8', 'multicast addresses'],
];
const SPECIAL_SUBNETS = SPECIAL.map(([range, what]) => ({ subnet: Subnet.of(range), what }));

/** What keeps a subnet from being a network's, whatever the cluster looks like; undefined when nothing does. */
export function specialUse(subnet: Subnet): string | undefined {
  return SPECIAL_SUBNETS.find((special) => special.subnet.overlaps(subnet))?.what;
}

/**
 * Checks what `swarm init` was given.
 * @throws ApiError INVALID_ARGUMENT
 */
export function addressPools(
  given: readonly string[] | undefined,
  size: number | undefined,
): AddressPools {
  const subnetSize = size === undefined || size === 0 ? DEFAULT_SUBNET_SIZE : size;
  if (subnetSize > SUBNET_SIZE_MAX) refuse(`subnet size is out of range: ${subnetSize}`);
  const texts = given === undefined || given.length === 0 ? DEFAULT_ADDRESS_POOLS : given;
  if (texts.length > POOLS_LIMIT)
    refuse(`at most ${POOLS_LIMIT} default address pools are allowed`);
  const pools: Subnet[] = [];
  for (const text of texts) {
    const pool = readPool(text, subnetSize);
    const other = pools.find((each) => each.overlaps(pool));
    if (other !== undefined) refuse(`default address pool ${pool} overlaps with ${other}`);
    pools.push(pool);
  }
  return { pools: pools.map(String), subnetSize };
}

function readPool(text: string, subnetSize: number): Subnet {
  const pool =
    Subnet.parse(text) ??
    refuse(`invalid base pool ${JSON.stringify(text)}: it must be a subnet such as 10.20.0.0/16`);
  if (pool.isIpv6) {
    refuse(
      `invalid base pool ${pool}: pools are IPv4; a network with IPv6 gets a unique local /64 by itself`,
    );
  }
  if (subnetSize < pool.prefixLength) {
    refuse(`invalid CIDR: "${pool}". Subnet size is too small for pool: ${subnetSize}`);
  }
  const use = specialUse(pool);
  if (use !== undefined) refuse(`invalid base pool ${pool}: it has ${use}`);
  return pool;
}

function refuse(message: string): never {
  throw new ApiError('INVALID_ARGUMENT', message);
}
