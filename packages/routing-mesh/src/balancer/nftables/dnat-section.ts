import { FIRST_ENDPOINT_ID, LAST_ENDPOINT_ID, TUNNEL_DEVICE } from '../../layout.js';
import type { ElementChanges } from '../../table/element-changes.js';
import { chainText } from '../../table/ruleset.js';
import type { SectionRules, TablePlace, TableSection } from '../../table/table-section.js';
import { EMPTY_MODEL, type Model } from './model.js';
import { portChanges } from './port-changes.js';
import { SLOTS_NARROW, SLOTS_WIDE } from './slots.js';

/** How long an endpoint that refused or did not answer gets no new connections while there are others. */
const SUSPECT_S = 5;
/** How long a client's refused attempts are counted; the third one gets the refusal. */
const TRIED_S = 10;
/** A second SYN of one connection within this time means that the endpoint of the first did not answer. */
const ATTEMPT_MS = 1500;
/** Draws of an endpoint before taking one although it is suspected. */
const DRAWS = 5;
/** Limits how much kernel memory a flood of refused connections can take. */
const DYNAMIC_SET_SIZE = 65535;

/**
 * The table's part for published ports. No rule names a service: only set elements change with services.
 *
 * - `dispatch`, `draw_*`, `take`: a random slot of the port gives an endpoint id, the id gives the address.
 *   The source address stays the client's.
 * - `attempts`: which endpoint a connection was sent to a moment ago. A repeated SYN means no answer, so its
 *   endpoint becomes suspected: a host that died costs few clients a second, even while no manager is there
 *   to report it.
 * - `refused`: drops a RST to a connection that has carried no byte yet; the client's next SYN goes to
 *   another endpoint. Only if there is another, and at most twice.
 */
export class DnatSection implements TableSection {
  #wanted: Model = EMPTY_MODEL;
  /** What the table last received. */
  #told: Model = EMPTY_MODEL;

  follow(model: Model): void {
    this.#wanted = model;
  }

  addAll(changes: ElementChanges): void {
    portChanges(changes, EMPTY_MODEL, this.#wanted);
  }

  takeChanges(changes: ElementChanges): void {
    portChanges(changes, this.#told, this.#wanted);
    this.#told = this.#wanted;
  }

  rules({ ingressNetwork }: TablePlace): SectionRules {
    const published = 'fib daddr type local meta l4proto . th dport';
    const refused =
      'ct direction reply ct status dnat tcp flags & (rst|fin|syn) == rst ct status ! assured ct mark @multi jump refused';
    return {
      sets: SETS,
      chains:
        chainText('admit', [`${published} @closed goto refuse`]) +
        chainText('refuse', [
          'meta l4proto tcp reject with tcp reset',
          'reject with icmp port-unreachable',
        ]) +
        draws('narrow', SLOTS_NARROW) +
        draws('wide', SLOTS_WIDE) +
        chainText('take', TAKE) +
        chainText('refused', REFUSED),
      rules: {
        origin: [`iifname != { "${TUNNEL_DEVICE}", "lo" } ct state new jump admit`],
        origin_local: ['ip daddr != 127.0.0.0/8 ct state new jump admit'],
        dispatch: [
          `meta l4proto tcp meta mark set ip saddr . tcp sport . tcp dport map @attempts add @suspects { meta mark timeout ${SUSPECT_S}s }`,
          `${published} @narrow goto draw_narrow_1`,
          `${published} @wide goto draw_wide_1`,
        ],
        forwarded: [refused],
        received: [refused],
        translate_source: [
          `ct status dnat ct mark ${hex(FIRST_ENDPOINT_ID)}-${hex(LAST_ENDPOINT_ID)} ip daddr != ${ingressNetwork} masquerade`,
        ],
      },
      referred: [
        ...['refuse', 'refused', 'take'],
        ...['narrow', 'wide'].flatMap((kind) =>
          Array.from({ length: DRAWS }, (_, i) => `draw_${kind}_${DRAWS - i}`),
        ),
        'admit',
      ],
    };
  }
}

const SETS: readonly string[] = [
  'set narrow { type inet_proto . inet_service; }',
  'set wide { type inet_proto . inet_service; }',
  'set closed { type inet_proto . inet_service; }',
  'map slots { type inet_proto . inet_service . mark : mark; }',
  'map endpoints { type mark : ipv4_addr . inet_service; }',
  'set multi { type mark; }',
  `set suspects { type mark; size ${DYNAMIC_SET_SIZE}; flags dynamic,timeout; }`,
  `set tried_once { type ipv4_addr . inet_service; size ${DYNAMIC_SET_SIZE}; flags dynamic,timeout; }`,
  `set tried_twice { type ipv4_addr . inet_service; size ${DYNAMIC_SET_SIZE}; flags dynamic,timeout; }`,
  `map attempts { type ipv4_addr . inet_service . inet_service : mark; size ${DYNAMIC_SET_SIZE}; flags dynamic,timeout; }`,
];

const TAKE: readonly string[] = [
  'ct mark set meta mark',
  'meta mark set 0',
  `meta l4proto tcp update @attempts { ip saddr . tcp sport . tcp dport timeout ${ATTEMPT_MS}ms : ct mark }`,
  'meta l4proto tcp dnat ip addr . port to ct mark map @endpoints',
  'meta l4proto udp dnat ip addr . port to ct mark map @endpoints',
  'meta l4proto sctp dnat ip addr . port to ct mark map @endpoints',
];

const REFUSED: readonly string[] = [
  'ip daddr . tcp dport @tried_twice return',
  `ip daddr . tcp dport @tried_once add @tried_twice { ip daddr . tcp dport timeout ${TRIED_S}s } add @suspects { ct mark timeout ${SUSPECT_S}s } drop`,
  `add @tried_once { ip daddr . tcp dport timeout ${TRIED_S}s } add @suspects { ct mark timeout ${SUSPECT_S}s } drop`,
];

/** Draws one endpoint at random; draws again if it refused recently. */
function draws(kind: 'narrow' | 'wide', slots: number): string {
  let text = '';
  for (let draw = 1; draw <= DRAWS; draw++) {
    text += chainText(`draw_${kind}_${draw}`, [
      `meta mark set numgen random mod ${slots}`,
      'meta mark set meta l4proto . th dport . meta mark map @slots',
      // nft resolves chain names within one batch, so the next chain may come later.
      ...(draw === DRAWS ? [] : [`meta mark @suspects goto draw_${kind}_${draw + 1}`]),
      'goto take',
    ]);
  }
  return text;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
