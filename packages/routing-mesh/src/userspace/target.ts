import type { IpAddress } from '@swarm/api';

/** Where a proxy sends a client. */
export interface Target {
  readonly nodeId: string;
  /** An address, so that nothing is ever looked up by name. */
  readonly address: IpAddress;
  readonly port: number;
}

/** Where a proxy listens. */
export interface ProxyOptions {
  readonly bindAddresses: readonly string[];
  readonly port: number;
}

export function targetKey(target: Target): string {
  return `${target.nodeId} ${target.address} ${target.port}`;
}

/** The targets in the order to try: a random start, then around, at most `limit`. */
export function tryOrder(targets: readonly Target[], random: number, limit: number): Target[] {
  const start = Math.floor(random * targets.length);
  return [...targets.slice(start), ...targets.slice(0, start)].slice(0, limit);
}

/** Codes of a bind failure that mean "this host has no such address family". */
export function isFamilyMissing(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL';
}
