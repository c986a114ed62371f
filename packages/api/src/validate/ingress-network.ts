import { ApiError } from '../errors.js';
import {
  INGRESS_IPV6_SUBNET,
  INGRESS_PREFIX_LONGEST,
  INGRESS_PREFIX_SHORTEST,
  INGRESS_VNI,
  ingressRoom,
  nodeBlockPrefixLength,
} from '../network/layout.js';
import { MTU_OPTION, VNI_OPTION } from '../network/overlay-options.js';
import { Subnet } from '../network/subnet.js';
import type { NetworkSpec } from '../objects/others.js';
import { parseIpAddress } from '../values/address.js';

/**
 * Checks what only an ingress network must not have.
 * @throws ApiError INVALID_ARGUMENT, UNIMPLEMENTED
 */
export function checkIngress(spec: NetworkSpec): void {
  if (spec.Attachable) refuse('ingress network cannot be attachable');
  if (spec.Internal) refuse('ingress network cannot be internal');
  if (spec.IPv6Enabled) {
    throw new ApiError(
      'UNIMPLEMENTED',
      `EnableIPv6: every ingress network has IPv6 by itself, in ${INGRESS_IPV6_SUBNET}; leave it out`,
    );
  }
  for (const option of Object.keys(spec.DriverOpts)) checkOption(option);
  for (const config of spec.IPAM?.Config ?? []) checkConfig(config);
}

function checkOption(option: string): void {
  if (option === MTU_OPTION) return;
  const why =
    option === VNI_OPTION
      ? `every ingress network has VNI ${INGRESS_VNI}`
      : `of the options, an ingress network has ${MTU_OPTION} only`;
  throw new ApiError('UNIMPLEMENTED', `Options["${option}"]: ${why}; leave it out`);
}

function checkConfig({
  Subnet: text,
  Gateway,
  IPRange,
}: NonNullable<NetworkSpec['IPAM']>['Config'][number]): void {
  const subnet = Subnet.of(text!);
  checkIngressSize(subnet);
  if (IPRange !== undefined) {
    throw new ApiError(
      'UNIMPLEMENTED',
      'IPAM.Config: nodes have blocks of the whole subnet of an ingress network; leave IPRange out, or give a smaller subnet',
    );
  }
  const gateway = Gateway === undefined ? undefined : parseIpAddress(Gateway);
  // No node has index 0.
  const free = subnet.block(nodeBlockPrefixLength(subnet), 0);
  if (gateway === undefined || free?.offsetOf(gateway) !== undefined) return;
  refuse(
    `ipam configuration: invalid gateway ${Gateway}: it is in the block of a node; of an ingress network with ` +
      `${subnet}, take one of ${free}, or none`,
  );
}

/**
 * Checks that nodes and tasks have room in the subnet.
 * @throws ApiError INVALID_ARGUMENT
 */
export function checkIngressSize(subnet: Subnet): void {
  const isTooLarge = subnet.prefixLength < INGRESS_PREFIX_SHORTEST;
  if (!isTooLarge && subnet.prefixLength <= INGRESS_PREFIX_LONGEST) return;
  const why = isTooLarge ? 'is larger than nodes can use' : 'has too few addresses';
  refuse(
    `ipam configuration: invalid subnet ${subnet}: it ${why}; an ingress network has ` +
      `${describe(INGRESS_PREFIX_SHORTEST)} to ${describe(INGRESS_PREFIX_LONGEST)}`,
  );
}

/** `/16 (255 nodes with 253 tasks each)` */
function describe(prefixLength: number): string {
  const { nodes, tasks } = ingressRoom(Subnet.of(`0.0.0.0/${prefixLength}`));
  return `/${prefixLength} (${nodes} nodes with ${tasks} tasks each)`;
}

function refuse(message: string): never {
  throw new ApiError('INVALID_ARGUMENT', message);
}
