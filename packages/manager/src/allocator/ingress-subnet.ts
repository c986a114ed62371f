import {
  DEFAULT_ADDRESS_POOLS,
  INGRESS_PREFIX_LONGEST,
  INGRESS_PREFIX_SHORTEST,
  INGRESS_SUBNET,
  INGRESS_VNI,
  type Network,
  NODE_ADDRESS_OFFSET,
  parseIpAddress,
  Subnet,
} from '@swarm/api';
import { levelOf, NETWORKS_LEVEL } from '../store/feature-levels.js';
import type { View } from '../store/store.js';

/** Of a pool, the ingress network takes a quarter: a prefix this many bits longer. */
const SHARE_BITS = 2;

/**
 * The subnets that an ingress network without one may have, the best first: a quarter of one of the cluster's
 * pools, or INGRESS_SUBNET where the pools are the default. A user who names pools has a reason to use no other
 * addresses.
 */
export function* ingressChoices(view: View): Generator<Subnet> {
  const cluster = view.cluster();
  const pools = cluster?.DefaultAddrPool ?? DEFAULT_ADDRESS_POOLS;
  const isDefault = pools.join() === DEFAULT_ADDRESS_POOLS.join();
  if (isDefault || levelOf(cluster) < NETWORKS_LEVEL) {
    yield Subnet.of(INGRESS_SUBNET);
    return;
  }
  for (const text of pools) {
    const pool = Subnet.parse(text);
    if (pool === undefined || pool.isIpv6 || pool.prefixLength > INGRESS_PREFIX_LONGEST) continue;
    const share = Math.max(pool.prefixLength + SHARE_BITS, INGRESS_PREFIX_SHORTEST);
    const length = Math.min(share, INGRESS_PREFIX_LONGEST);
    for (let at = 0, block: Subnet | undefined; ; at += 1) {
      block = pool.block(length, at);
      if (block === undefined) break;
      yield block;
    }
  }
}

/**
 * What the cluster's first ingress network has: nothing but hosts can be in the way. Pools that are too small for
 * one leave it where it is by default.
 */
export function firstIngress(view: View): Pick<Network, 'Subnets' | 'VNI'> {
  const hosts = [...view.list('node')].flatMap(({ Status, Mesh }) =>
    [Status.Addr, Mesh?.Address].flatMap((text) => parseIpAddress(text) ?? []),
  );
  for (const subnet of ingressChoices(view)) {
    if (hosts.every((address) => subnet.offsetOf(address) === undefined))
      return ingressAllocation(subnet);
  }
  return ingressAllocation(Subnet.of(INGRESS_SUBNET));
}

/** What every ingress network of this subnet has. */
export function ingressAllocation(
  subnet: Subnet,
  gateway?: string,
): Pick<Network, 'Subnets' | 'VNI'> {
  const Gateway = gateway ?? subnet.addressAt(NODE_ADDRESS_OFFSET);
  return { Subnets: [{ Subnet: subnet.toString(), Gateway }], VNI: INGRESS_VNI };
}
