import { type Cidr, firstHost, taskAddresses } from '../address.js';
import type { CheckedPeer } from '../checked.js';
import {
  FIRST_ENDPOINT_ID,
  LAST_ENDPOINT_ID,
  PEER_MARK_MASK,
  TABLE,
  TASK_LINK_PREFIX,
  TUNNEL_DEVICE,
  TUNNEL_VNI,
} from '../layout.js';
import { SLOTS_NARROW, SLOTS_WIDE } from '../slots.js';

/** How long an endpoint that refused or did not answer gets no new connections while others are there. */
const SUSPECT_S = 5;
/** A client's refused attempts are counted for so long; the third is told the truth. */
const TRIED_S = 10;
/** A SYN without an answer frees its connection entry after this, so the client's next SYN is drawn anew. */
const SYN_SENT_S = 1;
/** A second SYN of one connection within this means that the endpoint of the first did not answer. */
const ATTEMPT_MS = 1500;
/** Draws of an endpoint until one is taken although suspected. */
const DRAWS = 5;
/** Bounds what a flood of refused connections can make the kernel hold. */
const DYNAMIC_SET_SIZE = 65535;

export interface RulesetOptions {
  readonly self: CheckedPeer;
  readonly ingressNetwork: Cidr;
  readonly dataPathPort: number;
}

/**
 * The constant part of the table: chains and empty sets. No rule depends on services, so what changes
 * with them are set elements only, whose cost does not grow with the number of services.
 *
 * What the parts are for:
 * - `zone`, `origin`: the tunnel's source MAC names the node a connection came in by. It becomes the
 *   connection's mark, which routes replies back through that node, and the zone of its original
 *   direction, since a client may use one source port towards two nodes and end at the same task.
 * - `nat_*`, `draw_*`, `take`: a random slot of the port gives an endpoint id, the id gives the address.
 *   The source address stays the client's.
 * - `attempts`: which endpoint a connection was sent to a moment ago. A SYN that comes again was not
 *   answered: its endpoint is suspected, so that a host which died costs few clients a second, also
 *   while no manager is there to say that it did.
 * - `refused`: a RST to a connection that no byte went through yet is dropped; the client's next SYN
 *   meets another endpoint. Only where there is another, and at most twice.
 * - `source`: the few connections that would not find their way back get the node's own address.
 */
export function skeleton({ self, ingressNetwork, dataPathPort }: RulesetOptions): string {
  const own = firstHost(self.subnet);
  const tasks = `"${TASK_LINK_PREFIX}*"`;
  const tunnel = `"${TUNNEL_DEVICE}"`;
  const mask = hex(PEER_MARK_MASK);
  const endpoints = `${hex(FIRST_ENDPOINT_ID)}-${hex(LAST_ENDPOINT_ID)}`;
  const refused =
    'ct direction reply ct status dnat tcp flags & (rst|fin|syn) == rst ct status ! assured ct mark @multi jump refused';
  const published = 'fib daddr type local meta l4proto . th dport';
  const hostPorts = ['tcp', 'udp', 'sctp']
    .map(
      (protocol) =>
        `    fib daddr type local meta l4proto ${protocol} dnat ip addr . port to meta l4proto . th dport map @host_ports`,
    )
    .join('\n');
  return `table ip ${TABLE} {
  map peers { type ether_addr : mark; }
  map zones { typeof ether saddr : ct zone; }
  set underlay { type ipv4_addr; }
  set homeward { type ipv4_addr . ipv4_addr; flags interval; }
  set itself { type ipv4_addr . ipv4_addr; }
  set narrow { type inet_proto . inet_service; }
  set wide { type inet_proto . inet_service; }
  set closed { type inet_proto . inet_service; }
  map slots { type inet_proto . inet_service . mark : mark; }
  map endpoints { type mark : ipv4_addr . inet_service; }
  set multi { type mark; }
  map host_ports { type inet_proto . inet_service : ipv4_addr . inet_service; }
  set suspects { type mark; size ${DYNAMIC_SET_SIZE}; flags dynamic,timeout; }
  set tried_once { type ipv4_addr . inet_service; size ${DYNAMIC_SET_SIZE}; flags dynamic,timeout; }
  set tried_twice { type ipv4_addr . inet_service; size ${DYNAMIC_SET_SIZE}; flags dynamic,timeout; }
  map attempts { type ipv4_addr . inet_service . inet_service : mark; size ${DYNAMIC_SET_SIZE}; flags dynamic,timeout; }
  ct timeout fastsyn { protocol tcp; l3proto ip; policy = { syn_sent : ${SYN_SENT_S} }; }
  chain zone { type filter hook prerouting priority raw; policy accept;
    iifname ${tunnel} jump arrive
  }
  chain arrive {
    ct original zone set ether saddr map @zones
  }
  chain origin { type filter hook prerouting priority mangle; policy accept;
    iifname ${tunnel} ct state new ct direction original ct mark set ether saddr map @peers
    ip saddr ${self.subnet} iifname != ${tunnel} ct direction reply ct mark & ${mask} != 0 meta mark set ct mark
    iifname != { ${tunnel}, "lo" } ct state new jump admit
  }
  chain origin_local { type filter hook output priority mangle; policy accept;
    ip daddr != 127.0.0.0/8 ct state new jump admit
  }
  chain admit {
    meta l4proto tcp ${published} @narrow ct timeout set "fastsyn"
    meta l4proto tcp ${published} @wide ct timeout set "fastsyn"
    ${published} @closed goto refuse
  }
  chain refuse {
    meta l4proto tcp reject with tcp reset
    reject with icmp port-unreachable
  }
  chain nat_in { type nat hook prerouting priority dstnat; policy accept;
    iifname != "lo" jump dispatch
  }
  chain nat_local { type nat hook output priority -100; policy accept;
    ip daddr != 127.0.0.0/8 jump dispatch
  }
  chain dispatch {
${hostPorts}
    meta l4proto tcp meta mark set ip saddr . tcp sport . tcp dport map @attempts add @suspects { meta mark timeout ${SUSPECT_S}s }
    ${published} @narrow goto draw_narrow_1
    ${published} @wide goto draw_wide_1
  }
${draws('narrow', SLOTS_NARROW)}${draws('wide', SLOTS_WIDE)}  chain take {
    ct mark set meta mark
    meta mark set 0
    meta l4proto tcp update @attempts { ip saddr . tcp sport . tcp dport timeout ${ATTEMPT_MS}ms : ct mark }
    meta l4proto tcp dnat ip addr . port to ct mark map @endpoints
    meta l4proto udp dnat ip addr . port to ct mark map @endpoints
    meta l4proto sctp dnat ip addr . port to ct mark map @endpoints
  }
  chain forwarded { type filter hook forward priority filter; policy accept;
    ${refused}
    ct state invalid ip saddr ${ingressNetwork} drop
    ct state invalid ip daddr ${ingressNetwork} drop
    ip daddr ${ingressNetwork} iifname != ${tunnel} ct state new ct status ! dnat drop
  }
  chain received { type filter hook input priority filter; policy accept;
    udp dport ${dataPathPort} @th,96,24 ${TUNNEL_VNI} ip saddr != @underlay drop
    ${refused}
  }
  chain refused {
    ip daddr . tcp dport @tried_twice return
    ip daddr . tcp dport @tried_once add @tried_twice { ip daddr . tcp dport timeout ${TRIED_S}s } add @suspects { ct mark timeout ${SUSPECT_S}s } drop
    add @tried_once { ip daddr . tcp dport timeout ${TRIED_S}s } add @suspects { ct mark timeout ${SUSPECT_S}s } drop
  }
  chain source { type nat hook postrouting priority srcnat; policy accept;
    jump translate_source
  }
  chain translate_source {
    ip saddr . ip daddr @itself snat to ${own}
    ip saddr . ip daddr @homeward snat to ${own}
    ct status dnat ct mark ${endpoints} ip daddr != ${ingressNetwork} masquerade
    ip saddr ${self.subnet} oifname != ${tunnel} oifname != ${tasks} fib saddr type != local masquerade
  }
  chain sent { type filter hook postrouting priority 300; policy accept;
    oifname ${tunnel} jump depart
  }
  chain depart {
    tcp flags syn tcp option maxseg size set rt mtu
    meta mark set 0
  }
}
`;
}

/**
 * Chains that rules of other chains refer to, each before those it refers from: as long as the rules are
 * there the kernel refuses to delete any of these, in this order.
 */
export const REFERRED_CHAINS: readonly string[] = [
  ...['refuse', 'refused', 'take'],
  ...['narrow', 'wide'].flatMap((kind) =>
    Array.from({ length: DRAWS }, (_, i) => `draw_${kind}_${DRAWS - i}`),
  ),
  ...['admit', 'dispatch', 'arrive', 'depart', 'translate_source'],
];

/** Draws one endpoint at random; those that refused lately are drawn again. */
function draws(kind: 'narrow' | 'wide', slots: number): string {
  let text = '';
  for (let draw = 1; draw <= DRAWS; draw++) {
    const again = draw === DRAWS ? '' : `    meta mark @suspects goto draw_${kind}_${draw + 1}\n`;
    // Chains are declared last first where they refer to each other; nft resolves names in one batch.
    text += `  chain draw_${kind}_${draw} {
    meta mark set numgen random mod ${slots}
    meta mark set meta l4proto . th dport . meta mark map @slots
${again}    goto take
  }
`;
  }
  return text;
}

/** Pairs of a task's address with itself: a task that reaches its own published port. */
export function itselfElements(subnet: Cidr): string[] {
  return taskAddresses(subnet).map((address) => `${address} . ${address}`);
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
