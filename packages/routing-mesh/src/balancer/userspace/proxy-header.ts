import { isIpv6, parseIpAddress, type ProxyProtocol } from '@swarm/api';
import { addressBytes } from '../../address-bytes.js';
import type { StreamSocket } from '../../kernel/sockets.js';

/** First bytes of version 2. */
const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
/** Version 2, and either a connection of the proxy itself or one on behalf of a client. */
const COMMAND = { local: 0x20, proxy: 0x21 } as const;
/** Address family and transport. */
const TCP4 = 0x11;
const TCP6 = 0x21;

/** Both ends of a client's connection. */
type Ends = Pick<StreamSocket, 'remoteAddress' | 'remotePort' | 'localAddress' | 'localPort'>;

/**
 * What tells a server who the client is, as HAProxy's PROXY protocol has it (proxy-protocol.txt of HAProxy 2.8,
 * sections 2.1 and 2.2). Of a client that is gone already it says that nothing is known.
 */
export function proxyHeader(version: ProxyProtocol, ends: Ends): Uint8Array {
  const source = addressOf(ends.remoteAddress);
  const destination = addressOf(ends.localAddress);
  const { remotePort = 0, localPort = 0 } = ends;
  const isKnown = source !== undefined && destination !== undefined;
  if (version === 'v1') {
    if (!isKnown) return Buffer.from('PROXY UNKNOWN\r\n');
    const family = isIpv6(source) ? 'TCP6' : 'TCP4';
    return Buffer.from(`PROXY ${family} ${source} ${destination} ${remotePort} ${localPort}\r\n`);
  }
  if (!isKnown) return Uint8Array.from([...SIGNATURE, COMMAND.local, 0, 0, 0]);
  const body = [
    ...addressBytes(source),
    ...addressBytes(destination),
    ...[remotePort, localPort].flatMap((port) => [port >> 8, port & 0xff]),
  ];
  const family = isIpv6(source) ? TCP6 : TCP4;
  return Uint8Array.from([...SIGNATURE, COMMAND.proxy, family, 0, body.length, ...body]);
}

/** Without the zone of a link-local address, which means nothing elsewhere. */
function addressOf(text: string | undefined) {
  return parseIpAddress(text?.split('%', 1)[0]);
}
