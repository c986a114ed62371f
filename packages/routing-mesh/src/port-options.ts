import { type IpAddress, parseIpAddress } from '@swarm/api';
import { BadPart, fieldsOf } from './bad-part.js';

/** Which endpoints a node leads its clients to: all, its own alone, or its own while there are any. */
export type TrafficPolicy = 'cluster' | 'local' | 'prefer-local';

/** Most connections of a published port on one node; undefined: any number. All integers above 0. */
export interface ConnectionLimits {
  /** At a time. */
  readonly connections: number | undefined;
  /** At a time, of one client address. */
  readonly connectionsPerClient: number | undefined;
  /** New ones a second, of one client address. */
  readonly ratePerClient: number | undefined;
  /** How many new ones may come at once before the rate counts. */
  readonly burst: number;
}

/** How a published port is served. */
export interface PortOptions {
  /** The only address that the port is published on, or `0.0.0.0` or `::` for all of one family. */
  readonly hostIp: IpAddress | undefined;
  /** A client is led to the same endpoint each time, by its address. */
  readonly hasAffinity: boolean;
  readonly policy: TrafficPolicy;
  readonly limits: ConnectionLimits | undefined;
  /** A task hears of its client by a header of the PROXY protocol. */
  readonly proxyProtocol: boolean;
}

export const NO_OPTIONS: PortOptions = {
  hostIp: undefined,
  hasAffinity: false,
  policy: 'cluster',
  limits: undefined,
  proxyProtocol: false,
};

/** Largest number of any limit. */
const LIMIT_MAX = 1_000_000;

/**
 * Reads what a state says of a port besides its endpoints.
 * @throws BadPart
 */
export function readPortOptions(fields: Readonly<Record<string, unknown>>): PortOptions {
  const { hostIp, affinity, policy = 'cluster', limits, proxyProtocol } = fields;
  const address = hostIp === undefined ? undefined : parseIpAddress(hostIp);
  if (hostIp !== undefined && address === undefined)
    throw new BadPart('the address it is published on is not one');
  if (affinity !== undefined && affinity !== 'client')
    throw new BadPart('its affinity is of an unknown kind');
  if (policy !== 'cluster' && policy !== 'local' && policy !== 'prefer-local')
    throw new BadPart('its traffic policy is unknown');
  if (
    address === undefined &&
    affinity === undefined &&
    policy === 'cluster' &&
    limits === undefined &&
    proxyProtocol !== true
  )
    return NO_OPTIONS;
  return {
    hostIp: address,
    hasAffinity: affinity === 'client',
    policy,
    limits: limits === undefined ? undefined : readLimits(limits),
    proxyProtocol: proxyProtocol === true,
  };
}

/** @throws BadPart */
function readLimits(value: unknown): ConnectionLimits | undefined {
  const fields = fieldsOf(value, 'its limits');
  const read = (name: string): number | undefined => {
    const limit = fields[name];
    if (limit === undefined) return undefined;
    if (Number.isInteger(limit) && (limit as number) > 0 && (limit as number) <= LIMIT_MAX)
      return limit as number;
    throw new BadPart(`its limit ${name} is not within 1 to ${LIMIT_MAX}`);
  };
  const limits = {
    connections: read('connections'),
    connectionsPerClient: read('connectionsPerClient'),
    ratePerClient: read('ratePerClient'),
  };
  if (Object.values(limits).every((limit) => limit === undefined)) return undefined;
  return { ...limits, burst: read('burst') ?? limits.ratePerClient ?? 1 };
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

export function sameLimits(
  a: ConnectionLimits | undefined,
  b: ConnectionLimits | undefined,
): boolean {
  return (
    a?.connections === b?.connections &&
    a?.connectionsPerClient === b?.connectionsPerClient &&
    a?.ratePerClient === b?.ratePerClient &&
    a?.burst === b?.burst
  );
}

/** Whether the address stands for all of its family. */
export function isUnspecified(address: IpAddress): boolean {
  return address === '0.0.0.0' || address === '::';
}
