import { isIpv6 } from '@swarm/api';
import type { NftTokens } from './nft-tokens.js';
import type { Packet, TraceHost } from './packet.js';
import type { NftType } from './values.js';

/** A part of a packet, or of what the kernel knows of it, that rules look at. */
export interface Field {
  readonly words: readonly string[];
  /** Absent for those that are only compared with words: `ct state`. */
  readonly type?: NftType;
  /** It has several values at once, and a comparison asks for one of them. */
  readonly isMany?: boolean;
  /** undefined: the packet has no such part, so the rule does not match. */
  read(packet: Packet, host: TraceHost): string | readonly string[] | undefined;
}

/** A field with one value, by its words. */
function one(
  words: string,
  type: NftType | undefined,
  read: (packet: Packet, host: TraceHost) => string | number | undefined,
): Field {
  return {
    words: words.split(' '),
    ...(type === undefined ? {} : { type }),
    read(packet, host) {
      const value = read(packet, host);
      return value === undefined ? undefined : String(value);
    },
  };
}

function many(words: string, read: (packet: Packet) => readonly string[] | undefined): Field {
  return { words: words.split(' '), isMany: true, read };
}

const hasPorts = ({ protocol }: Packet): boolean => protocol !== 'icmp';
const v6 = ({ source }: Packet): boolean => isIpv6(source);

function ports(of: string, matches: (packet: Packet) => boolean): Field[] {
  return [
    one(`${of} sport`, 'inet_service', (packet) =>
      matches(packet) ? packet.sourcePort : undefined,
    ),
    one(`${of} dport`, 'inet_service', (packet) =>
      matches(packet) ? packet.destinationPort : undefined,
    ),
  ];
}

/** Every field that our rules use. */
const FIELDS: readonly Field[] = [
  one('meta mark', 'mark', ({ mark }) => mark),
  one('meta l4proto', 'inet_proto', ({ protocol }) => protocol),
  one('meta nfproto', undefined, (packet) => (v6(packet) ? 'ipv6' : 'ipv4')),
  one('iifname', 'ifname', ({ inInterface }) => inInterface ?? ''),
  one('oifname', 'ifname', ({ outInterface }) => outInterface ?? ''),
  one('ether saddr', 'ether_addr', ({ etherSource }) => etherSource?.toLowerCase()),
  one('ip saddr', 'ipv4_addr', (packet) => (v6(packet) ? undefined : packet.source)),
  one('ip daddr', 'ipv4_addr', (packet) => (v6(packet) ? undefined : packet.destination)),
  one('ip6 saddr & ffff:ffff:ffff:ffff::', 'ipv6_addr', (packet) =>
    v6(packet) ? packet.source : undefined,
  ),
  one('ip6 saddr', 'ipv6_addr', (packet) => (v6(packet) ? packet.source : undefined)),
  one('ip6 daddr', 'ipv6_addr', (packet) => (v6(packet) ? packet.destination : undefined)),
  ...ports('th', hasPorts),
  ...ports('tcp', ({ protocol }) => protocol === 'tcp'),
  ...ports('udp', ({ protocol }) => protocol === 'udp'),
  many('tcp flags', ({ protocol, tcpFlags }) => (protocol === 'tcp' ? tcpFlags : undefined)),
  one('icmp type', undefined, (packet) => (v6(packet) ? undefined : packet.icmp?.type)),
  one('icmp code', undefined, (packet) => (v6(packet) ? undefined : packet.icmp?.code)),
  one('icmpv6 type', undefined, (packet) => (v6(packet) ? packet.icmp?.type : undefined)),
  one('icmpv6 code', undefined, (packet) => (v6(packet) ? packet.icmp?.code : undefined)),
  one('@th,96,24', undefined, ({ vxlanNetwork }) => vxlanNetwork),
  one('fib daddr type', undefined, ({ destination }, host) =>
    host.isLocal(destination) ? 'local' : 'unicast',
  ),
  one('fib saddr type', undefined, ({ source }, host) =>
    host.isLocal(source) ? 'local' : 'unicast',
  ),
  one('ct mark', 'mark', ({ flow }) => (flow.state === 'invalid' ? undefined : flow.mark)),
  one('ct state', undefined, ({ flow }) => flow.state),
  one('ct direction', undefined, ({ flow }) =>
    flow.state === 'invalid' ? undefined : flow.direction,
  ),
  many('ct status', ({ flow }) => (flow.state === 'invalid' ? undefined : flow.status)),
  one('ct original ip daddr', 'ipv4_addr', (packet) =>
    v6(packet) ? undefined : packet.flow.originalDestination,
  ),
  one('ct original ip6 daddr', 'ipv6_addr', (packet) =>
    v6(packet) ? packet.flow.originalDestination : undefined,
  ),
];

/** Takes a field, if one comes next. */
export function takeField(tokens: NftTokens): Field | undefined {
  return FIELDS.find(({ words }) => tokens.take(...words));
}

/** Takes fields that are joined with ` . `, if one comes next. */
export function takeFields(tokens: NftTokens): readonly Field[] | undefined {
  const first = takeField(tokens);
  if (first === undefined) return undefined;
  const fields = [first];
  while (tokens.take('.')) {
    const next = takeField(tokens);
    if (next === undefined) throw tokens.unknown('the field');
    fields.push(next);
  }
  return fields;
}
