import { CLIENT_CONNECTIONS_LIMIT, CLIENT_RATE_LIMIT } from '@swarm/api';
import { BadPart, fieldsOf } from './bad-part.js';

/** What each client of a port may do at this node. At least one of the two is there. */
export interface ClientLimits {
  /** Connections at a time. */
  readonly connections: number | undefined;
  readonly rate: ClientRate | undefined;
}

/** New connections in a time, and how many of them at once. */
export interface ClientRate {
  readonly count: number;
  readonly per: RatePeriod;
  readonly burst: number;
}

type RatePeriod = 'second' | 'minute' | 'hour';

export const PERIOD_S: Readonly<Record<RatePeriod, number>> = { second: 1, minute: 60, hour: 3600 };

/**
 * Reads the limits of a port in a state.
 * @throws BadPart
 */
export function readClientLimits(value: unknown): ClientLimits | undefined {
  if (value === undefined) return undefined;
  const { connections, rate, per = 'second', burst = rate } = fieldsOf(value, 'its limits');
  if (connections !== undefined && !isWithin(connections, CLIENT_CONNECTIONS_LIMIT))
    throw new BadPart('its limit of connections is not one');
  if (per !== 'second' && per !== 'minute' && per !== 'hour')
    throw new BadPart('the time of its limit of new connections is unknown');
  if (rate === undefined)
    return connections === undefined ? undefined : { connections, rate: undefined };
  if (!isWithin(rate, CLIENT_RATE_LIMIT) || !isWithin(burst, CLIENT_RATE_LIMIT))
    throw new BadPart('its limit of new connections is not one');
  return { connections, rate: { count: rate, per, burst } };
}

function isWithin(value: unknown, limit: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= limit;
}

/** The same for limits that are the same, and for no others: letters and digits. */
export function limitsName({ connections, rate }: ClientLimits): string {
  const pace = rate === undefined ? '' : `r${rate.count}${rate.per}b${rate.burst}`;
  return `${connections === undefined ? '' : `c${connections}`}${pace}`;
}

export function sameLimits(a: ClientLimits | undefined, b: ClientLimits | undefined): boolean {
  if (a === b) return true;
  return a !== undefined && b !== undefined && limitsName(a) === limitsName(b);
}
