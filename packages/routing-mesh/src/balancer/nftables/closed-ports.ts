import { type TableFamily, TUNNEL_DEVICE } from '../../layout.js';
import { chainText } from '../../table/ruleset.js';

/** A packet to a port of this host. */
export const PUBLISHED = 'fib daddr type local meta l4proto . th dport';
export const PUBLISHED_V4 = `meta nfproto ipv4 ${PUBLISHED}`;
export const PUBLISHED_V6 = `meta nfproto ipv6 ${PUBLISHED}`;

/** A set of ports with their protocols. */
export function portSet(name: string): string {
  return `set ${name} { type inet_proto . inet_service; }`;
}

/** What does not come from the proxy itself goes to it, also at the address that it dials. */
export const TO_PROXY = `fib saddr type != local ${PUBLISHED} @proxied return`;

/** Rules for published ports without endpoints: they refuse at once, and their nodes' own clients too. */
export function closedPorts(family: TableFamily) {
  const inV6 = (...lines: readonly string[]) => (family === 'inet' ? lines : []);
  const unreachable = family === 'inet' ? 'icmpx port-unreachable' : 'icmp port-unreachable';
  return {
    sets: [portSet('closed'), ...inV6(portSet('closed_v6'))],
    chains:
      chainText('admit', [
        `${PUBLISHED_V4} @closed goto refuse`,
        ...inV6(`${PUBLISHED_V6} @closed_v6 goto refuse`),
      ]) +
      chainText('refuse', ['meta l4proto tcp reject with tcp reset', `reject with ${unreachable}`]),
    origin: [`iifname != { "${TUNNEL_DEVICE}", "lo" } ct state new jump admit`],
    originLocal: [
      'ip daddr != 127.0.0.0/8 ct state new jump admit',
      ...inV6('ip6 daddr != ::1 ct state new jump admit'),
    ],
  };
}
