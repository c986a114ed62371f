import type { ConnectionOptions } from 'node:tls';
import { WebSocket } from 'ws';
import type { MemberInfo } from '../core/types.js';
import { DEFAULT_TRANSPORT_LIMITS } from './limits.js';
import type { Connect } from './peer.js';

/**
 * Connects over TLS. @param tls is asked for each connection, so that certificates may be renewed;
 * it should check that the certificate is the member's (`checkServerIdentity`).
 */
export function tlsConnect(
  tls: (member: MemberInfo) => ConnectionOptions,
  receiveBytes = DEFAULT_TRANSPORT_LIMITS.receiveBytes,
): Connect {
  return (member, path) =>
    new WebSocket(`wss://${hostOf(member)}${path}`, {
      ...tls(member),
      ...socketOptions(receiveBytes),
      generateMask: noMask,
    });
}

/**
 * RFC 6455 §5.3 has clients mask what they send, against proxies on the way that take it for HTTP.
 * Nobody is on the way of a TLS connection, and to mask was a tenth of a leader's work. A mask of
 * zeros leaves the bytes as they are; any server takes it.
 */
function noMask(mask: Buffer): void {
  mask.fill(0);
}

/** Without encryption: for tests, and where something else encrypts. */
export function plainConnect(receiveBytes = DEFAULT_TRANSPORT_LIMITS.receiveBytes): Connect {
  return (member, path) =>
    new WebSocket(`ws://${hostOf(member)}${path}`, socketOptions(receiveBytes));
}

/** A host name, an IPv4 address, or an IPv6 address in brackets; then a port. */
const HOST_PORT = /^(?:[\w.-]+|\[[0-9a-fA-F:.]+\]):\d{1,5}$/;

/** The member's address as the host of a URL: it came with the log, from whoever joined the member. */
function hostOf({ id, address }: MemberInfo): string {
  if (HOST_PORT.test(address)) return address;
  throw new Error(`member ${id} has no address host:port: ${JSON.stringify(address)}`);
}

/**
 * What a socket for the transport must be made with, also on the accepting side. ws turns Nagle's
 * algorithm off by itself.
 */
export function socketOptions(receiveBytes = DEFAULT_TRANSPORT_LIMITS.receiveBytes): {
  readonly perMessageDeflate: false;
  readonly maxPayload: number;
} {
  return { perMessageDeflate: false, maxPayload: receiveBytes };
}
