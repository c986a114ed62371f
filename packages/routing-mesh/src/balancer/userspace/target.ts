import type { Clock, IpAddress, ProxyProtocol } from '@swarm/api';
import type { Sockets } from '../../kernel/sockets.js';
import type { ClientLimiter } from './client-limiter.js';

/** Where a proxy sends a client. */
export interface Target {
  readonly nodeId: string;
  /** An address, so that no name is ever looked up. */
  readonly address: IpAddress;
  readonly port: number;
  /** Task; what all nodes know it by. */
  readonly name: string;
  readonly weight: number;
}

/** Where a proxy listens, and what it uses. */
export interface ProxyOptions {
  readonly bindAddresses: readonly string[];
  readonly port: number;
  readonly sockets: Sockets;
  readonly clock: Clock;
  /** 0 to 1, as `Math.random`. */
  readonly random: () => number;
  /** Absent: clients have no limits. */
  readonly limiter?: ClientLimiter | undefined;
  /** Of TCP: tells the target who the client is. */
  readonly proxyProtocol?: ProxyProtocol | undefined;
}

export function targetKey(target: Target): string {
  return `${target.nodeId} ${target.address} ${target.port}`;
}

/**
 * Opens a socket at each address. Skips IPv6 addresses if this host has no IPv6.
 * @throws the last failure, with no socket left open
 */
export async function openEach<T extends { close(): void }>(
  addresses: readonly string[],
  open: (address: string) => Promise<T>,
): Promise<T[]> {
  const opened: T[] = [];
  let failure: unknown;
  for (const address of addresses) {
    try {
      opened.push(await open(address));
    } catch (error) {
      if (!(address.includes(':') && isFamilyMissing(error))) failure = error;
    }
  }
  if (failure === undefined) return opened;
  for (const one of opened) one.close();
  throw failure;
}

/** Codes of a bind failure that mean "this host has no such address family". */
function isFamilyMissing(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL';
}
