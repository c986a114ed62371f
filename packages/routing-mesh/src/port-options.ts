import { type IpAddress, parseIpAddress, type ProxyProtocol } from '@swarm/api';
import { BadPart } from './bad-part.js';
import { type ClientLimits, readClientLimits, sameLimits } from './client-limits.js';

/** Which endpoints a node leads its clients to: all, its own alone, or its own while there are any. */
export type TrafficPolicy = 'cluster' | 'local' | 'prefer-local';

/** How a published port is served. */
export interface PortOptions {
  /** The only address that the port is published on, or `0.0.0.0` or `::` for all of one family. */
  readonly hostIp: IpAddress | undefined;
  /** A client is led to the same endpoint each time, by its address. */
  readonly hasAffinity: boolean;
  readonly policy: TrafficPolicy;
  readonly limits: ClientLimits | undefined;
  /** A proxy of this node serves all clients, and tells tasks their addresses by this. */
  readonly proxyProtocol: ProxyProtocol | undefined;
}

export const NO_OPTIONS: PortOptions = {
  hostIp: undefined,
  hasAffinity: false,
  policy: 'cluster',
  limits: undefined,
  proxyProtocol: undefined,
};

/**
 * Reads what a state says of a port besides its endpoints.
 * @throws BadPart
 */
export function readPortOptions(fields: Readonly<Record<string, unknown>>): PortOptions {
  const { hostIp, affinity, policy = 'cluster', proxyProtocol } = fields;
  const address = hostIp === undefined ? undefined : parseIpAddress(hostIp);
  if (hostIp !== undefined && address === undefined)
    throw new BadPart('the address it is published on is not one');
  if (affinity !== undefined && affinity !== 'client')
    throw new BadPart('its affinity is of an unknown kind');
  if (policy !== 'cluster' && policy !== 'local' && policy !== 'prefer-local')
    throw new BadPart('its traffic policy is unknown');
  if (proxyProtocol !== undefined && proxyProtocol !== 'v1' && proxyProtocol !== 'v2')
    throw new BadPart('its version of the PROXY protocol is unknown');
  if (proxyProtocol !== undefined && fields.protocol !== 'tcp')
    throw new BadPart('only TCP has the PROXY protocol');
  const options: PortOptions = {
    hostIp: address,
    hasAffinity: affinity === 'client',
    policy,
    limits: readClientLimits(fields.limits),
    proxyProtocol,
  };
  return sameOptions(options, NO_OPTIONS) ? NO_OPTIONS : options;
}

/** Whether two ports are served the same way. */
export function sameOptions(a: PortOptions, b: PortOptions): boolean {
  return (
    a === b ||
    (a.hostIp === b.hostIp &&
      a.hasAffinity === b.hasAffinity &&
      a.policy === b.policy &&
      a.proxyProtocol === b.proxyProtocol &&
      sameLimits(a.limits, b.limits))
  );
}

/** Whether the address stands for all of its family. */
export function isUnspecified(address: IpAddress): boolean {
  return address === '0.0.0.0' || address === '::';
}
