import type { ConnectionOptions } from 'node:tls';
import { WebSocket } from 'ws';
import type { MemberInfo } from '../core/types.js';
import { DEFAULT_TRANSPORT_LIMITS } from './limits.js';
import type { Connect } from './peer.js';

/**
 * Connects over TLS. @param tls called for each connection, so that certificates may be renewed;
 * should check that the certificate is the member's (`checkServerIdentity`)
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
 * RFC 6455 §5.3 makes clients mask what they send, because of proxies that mistake it for HTTP. A
 * TLS connection has no such proxy, and masking took a tenth of a leader's work. A mask of zeros
 * leaves the bytes unchanged; any server accepts it.
 */
function noMask(mask: Buffer): void {
  mask.fill(0);
}

/** Connects without encryption: for tests, and where something else encrypts. */
export function plainConnect(receiveBytes = DEFAULT_TRANSPORT_LIMITS.receiveBytes): Connect {
  return (member, path) =>
    new WebSocket(`ws://${hostOf(member)}${path}`, socketOptions(receiveBytes));
}

/** A host name, an IPv4 address, or an IPv6 address in brackets; then a port. */
const HOST_PORT = /^(?:[\w.-]+|\[[0-9a-fA-F:.]+\]):\d{1,5}$/;

/**
 * The member's address as the host of a URL. It came with the log, from the node that joined the
 * member.
 */
function hostOf({ id, address }: MemberInfo): string {
  if (HOST_PORT.test(address)) return address;
  throw new Error(`member ${id} has no address host:port: ${JSON.stringify(address)}`);
}

/**
 * Options for every socket of the transport, on the accepting side too. ws turns Nagle's algorithm
 * off by itself.
 */
export function socketOptions(receiveBytes = DEFAULT_TRANSPORT_LIMITS.receiveBytes): {
  readonly perMessageDeflate: false;
  readonly maxPayload: number;
} {
  return { perMessageDeflate: false, maxPayload: receiveBytes };
}
