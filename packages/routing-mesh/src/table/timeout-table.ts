import { ingressIpv6Subnet, type SubnetText } from '../address.js';
import {
  FIRST_ENDPOINT_ID,
  IPSEC_DEVICE,
  LAST_MEMBER_ID,
  type TableFamily,
  TASK_LINK_PREFIX,
  TIMEOUT_TABLE,
  TUNNEL_DEVICE,
  WIREGUARD_DEVICE,
} from '../layout.js';
import { chainText } from './ruleset.js';

/**
 * How long the kernel keeps a connection that its ends hold open without a packet: five days, as it does by
 * default for one that is open in both directions. A half-closed one would have a minute. Those whose client
 * has vanished cost nobody a connection: once the kernel's table is 95 % full, it drops half-closed ones.
 */
const HELD_OPEN_S = 432_000;
/** While an end retransmits its FIN: longer than the longest pause between two attempts (`TCP_RTO_MAX`, 120 s). */
const FIN_S = 600;
/** A SYN without an answer frees its entry after this, so that the client's next SYN draws another endpoint. */
const DRAWN_SYN_S = 1;
/** Nothing is drawn again for these: the kernel's default. */
const LED_SYN_S = 120;

/**
 * The table with the limits of our TCP connections; the host's sysctls only count for everyone else's. It is a
 * table of its own, since deleting a limit takes it from its connections too, and {@link TABLE} is deleted each
 * time it is written as a whole.
 *
 * A chain of type `nat` only sees the first packet of a connection. It comes before those that translate
 * sources (priority 100), after which it would not be asked.
 *
 * `drawn`: connections to an endpoint that this node drew. `led`: all others to tasks, such as those out of the
 * tunnel. The kernel ignores the definition of a limit that exists: a change of one needs another name.
 */
export function timeoutTable(ingressNetwork: SubnetText, family: TableFamily): string {
  const ipv4 = tableOf('ip', `ip daddr ${ingressNetwork}`);
  if (family === 'ip') return ipv4;
  return ipv4 + tableOf('ip6', `ip6 daddr ${ingressIpv6Subnet(ingressNetwork)}`);
}

/** Limits are of one family each. */
function tableOf(family: 'ip' | 'ip6', toTask: string): string {
  const drawn = `ct status dnat ct mark ${hex(FIRST_ENDPOINT_ID)}-${hex(LAST_MEMBER_ID)}`;
  return `add table ${family} ${TIMEOUT_TABLE}
add chain ${family} ${TIMEOUT_TABLE} assign { type nat hook postrouting priority 90; policy accept; }
flush chain ${family} ${TIMEOUT_TABLE} assign
table ${family} ${TIMEOUT_TABLE} {
${limit('drawn', family, DRAWN_SYN_S)}${limit('led', family, LED_SYN_S)}${chainText('assign', [
  `meta l4proto tcp ${drawn} ct timeout set "drawn" accept`,
  `meta l4proto tcp ${toTask} ct timeout set "led" accept`,
  `meta l4proto tcp oifname "${TASK_LINK_PREFIX}*" ct timeout set "led" accept`,
  `meta l4proto tcp oifname { "${TUNNEL_DEVICE}", "${WIREGUARD_DEVICE}", "${IPSEC_DEVICE}" } ct timeout set "led"`,
])}}
`;
}

/** Deletes the tables. A kernel without IPv6 still has the family. */
export const DELETE_TIMEOUT_TABLE = ['ip', 'ip6']
  .map(
    (family) => `add table ${family} ${TIMEOUT_TABLE}\ndelete table ${family} ${TIMEOUT_TABLE}\n`,
  )
  .join('');

/** Commands that the kernel refuses, one by one, while the tables are whole. */
export function timeoutTableChecks(family: TableFamily): readonly string[] {
  return (family === 'ip' ? ['ip'] : ['ip', 'ip6']).flatMap((each) =>
    ['drawn', 'led'].map((name) => `delete ct timeout ${each} ${TIMEOUT_TABLE} ${name}\n`),
  );
}

/** Names every state: those left out would take the host's sysctls as they are now. */
function limit(name: string, family: 'ip' | 'ip6', synSentS: number): string {
  const states = [
    ['syn_sent', synSentS],
    ['syn_recv', 60],
    ['established', HELD_OPEN_S],
    ['fin_wait', FIN_S],
    ['close_wait', HELD_OPEN_S],
    ['last_ack', FIN_S],
    ['time_wait', 30],
    ['close', 10],
    ['retrans', 300],
    ['unack', 300],
  ];
  const policy = states.map(([state, seconds]) => `${state} : ${seconds}`).join(', ');
  return `  ct timeout ${name} { protocol tcp; l3proto ${family}; policy = { ${policy} }; }\n`;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
