import type { PortKey } from '@swarm/api';
import { FIRST_ENDPOINT_ID, LAST_ENDPOINT_ID, type TableFamily } from '../../layout.js';
import type { ElementChanges } from '../../table/element-changes.js';
import { chainText } from '../../table/ruleset.js';
import type { SectionRules, TablePlace, TableSection } from '../../table/table-section.js';
import { MAGLEV_PLACES } from '../maglev.js';
import { closedPorts, portSet, PUBLISHED_V4, PUBLISHED_V6, TO_PROXY } from './closed-ports.js';
import type { ModelPort, PortChange } from './model.js';
import { changePort } from './port-changes.js';
import { clientSets, DYNAMIC, forgive } from './refusals.js';
import { SLOT_OFFSETS } from './slot-offsets.js';
import { SLOT_CLASSES, SLOT_COUNTS } from './slots.js';

/** How long an endpoint that refused or did not answer gets no new connections while there are others. */
const SUSPECT_S = 5;
/** A second SYN of one connection within this time means that the endpoint of the first did not answer. */
const ATTEMPT_MS = 1500;
/** Of the hash of a client's address: all nodes must have the same. */
const CLIENT_SEED = 0x73776172;
/** Draws of an endpoint before taking one although it is suspected. */
const DRAWS = 5;
const SUSPECT = `add @suspects { ct mark timeout ${SUSPECT_S}s } `;

/**
 * The table's part for published ports. No rule names a service: only set elements change with services.
 *
 * - `dispatch`, `draw_*`, `take`: a random slot of the port gives an endpoint id, the id gives the address.
 *   The source address stays the client's.
 * - `draw_client`: the same by the client's address, for ports with affinity.
 * - `attempts`: which endpoint a connection was sent to a moment ago. A repeated SYN means no answer, so its
 *   endpoint becomes suspected: a host that died costs few clients a second, even while no manager is there
 *   to report it.
 * - `refused`: drops a RST to a connection that has carried no byte yet; the client's next SYN goes to
 *   another endpoint. Only if there is another, and at most twice.
 */
export class DnatSection implements TableSection {
  #ports: ReadonlyMap<PortKey, ModelPort> = new Map();
  /** Of ports that changed since the last hand-over: what the table has, undefined if nothing. */
  readonly #told = new Map<PortKey, ModelPort | undefined>();

  /** @param ports all of them, after the changes; read again at the next hand-over */
  follow(ports: ReadonlyMap<PortKey, ModelPort>, changes: Iterable<PortChange>): void {
    this.#ports = ports;
    for (const { key, before } of changes) if (!this.#told.has(key)) this.#told.set(key, before);
  }

  addAll(changes: ElementChanges): void {
    for (const port of this.#ports.values()) changePort(changes, undefined, port);
  }

  takeChanges(changes: ElementChanges): void {
    for (const [key, told] of this.#told) changePort(changes, told, this.#ports.get(key));
    this.#told.clear();
  }

  rules({ ingressNetwork, family }: TablePlace): SectionRules {
    const inV6 = (...lines: readonly string[]) => (family === 'inet' ? lines : []);
    const closed = closedPorts(family);
    const refused =
      'ct direction reply ct status dnat tcp flags & (rst|fin|syn) == rst ct status ! assured ct mark @multi jump refused';
    const drawn = drawChains(family);
    return {
      sets: [...closed.sets, ...SETS, ...inV6(...SETS_V6)],
      chains: [
        closed.chains,
        ...inV6(
          chainText('silent_v6', SUSPECT_SILENT_V6),
          ...ENTRIES_V6.map(([set, draw]) =>
            chainText(`enter_${set}`, ['jump silent_v6', `goto ${draw}`]),
          ),
        ),
        ...drawn.map(({ name, lines }) => chainText(name, lines)),
        chainText('take', [
          'ct mark set meta mark',
          'meta mark set 0',
          ...TAKE,
          ...lead('ip', 'endpoints'),
          ...inV6(...TAKE_V6),
        ]),
        chainText('refused', [
          ...inV6('meta nfproto ipv6 goto refused_v6'),
          ...forgive('ip', 'tried_once', 'tried_twice', SUSPECT),
        ]),
        ...inV6(
          chainText('refused_v6', forgive('ip6', 'tried_once_v6', 'tried_twice_v6', SUSPECT)),
        ),
      ].join(''),
      rules: {
        origin: closed.origin,
        origin_local: closed.originLocal,
        dispatch: [
          TO_PROXY,
          SUSPECT_SILENT,
          `${PUBLISHED_V4} @sticky goto draw_client`,
          ...SLOT_CLASSES.map((kind) => `${PUBLISHED_V4} @${kind} goto draw_${kind}_1`),
          ...inV6(...ENTRIES_V6.map(([set]) => `${PUBLISHED_V6} @${set} goto enter_${set}`)),
        ],
        forwarded: [refused],
        received: [refused],
        translate_source: [
          `ct status dnat ct mark ${hex(FIRST_ENDPOINT_ID)}-${hex(LAST_ENDPOINT_ID)} ip daddr != ${ingressNetwork} masquerade`,
        ],
      },
      referred: [
        ...['refuse', ...inV6('refused_v6'), 'refused', 'take'],
        ...drawn.map(({ name }) => name).reverse(),
        ...inV6('silent_v6', ...ENTRIES_V6.map(([set]) => `enter_${set}`)),
        'admit',
      ],
    };
  }
}

const SETS: readonly string[] = [
  ...[...SLOT_CLASSES, 'sticky', 'proxied'].map(portSet),
  'map slots { type inet_proto . inet_service . mark : mark; }',
  'map endpoints { type mark : ipv4_addr . inet_service; }',
  'set multi { type mark; }',
  `set suspects { type mark; ${DYNAMIC} }`,
  ...clientSets('ipv4_addr', ''),
  `map attempts { type ipv4_addr . inet_service . inet_service : mark; ${DYNAMIC} }`,
];

const SETS_V6: readonly string[] = [
  ...[...SLOT_CLASSES, 'sticky'].map((name) => portSet(`${name}_v6`)),
  ...[...SLOT_CLASSES, 'sticky'].map((name) => portSet(`${name}_own`)),
  'map endpoints_v6 { type mark : ipv6_addr . inet_service; }',
  ...clientSets('ipv6_addr', '_v6'),
  `map attempts_v6 { type mark : mark; ${DYNAMIC} }`,
];

const SUSPECT_SILENT = `meta l4proto tcp meta mark set ip saddr . tcp sport . tcp dport map @attempts add @suspects { meta mark timeout ${SUSPECT_S}s }`;

/**
 * The same for IPv6: nft 1.0.6 has no room for such a long key beside a value, so a hash of it is the key. Only
 * for published ports, as the mark holds the hash.
 */
const SUSPECT_SILENT_V6: readonly string[] = [
  'meta l4proto != tcp return',
  `meta mark set ${attemptV6()}`,
  `meta mark set meta mark map @attempts_v6 add @suspects { meta mark timeout ${SUSPECT_S}s }`,
];

function attemptV6(): string {
  return `jhash ip6 saddr . tcp sport . tcp dport mod 0xffffffff seed ${hex(CLIENT_SEED)}`;
}

/** The sets of ports of IPv6, in the order of dispatch, each with the chain that draws for them. */
const ENTRIES_V6: readonly (readonly [set: string, draw: string])[] = [
  ['sticky_v6', 'draw_client_v6'],
  ...SLOT_CLASSES.map((kind) => [`${kind}_v6`, `draw_${kind}_1`] as const),
  ['sticky_own', 'draw_client_own'],
  ...SLOT_CLASSES.map((kind) => [`${kind}_own`, `draw_${kind}_own_1`] as const),
];

const TAKE: readonly string[] = [
  `meta l4proto tcp update @attempts { ip saddr . tcp sport . tcp dport timeout ${ATTEMPT_MS}ms : ct mark }`,
];

const TAKE_V6: readonly string[] = [
  `meta nfproto ipv6 meta l4proto tcp meta mark set ${attemptV6()}`,
  `meta nfproto ipv6 meta l4proto tcp update @attempts_v6 { meta mark timeout ${ATTEMPT_MS}ms : ct mark }`,
  'meta mark set 0',
  ...lead('ip6', 'endpoints_v6'),
];

/** nft takes the port only after a protocol. */
function lead(ip: 'ip' | 'ip6', endpoints: string): string[] {
  const nfproto = ip === 'ip' ? 'ipv4' : 'ipv6';
  return ['tcp', 'udp', 'sctp'].map(
    (protocol) =>
      `meta nfproto ${nfproto} meta l4proto ${protocol} dnat ${ip} addr . port to ct mark map @${endpoints}`,
  );
}

interface Chain {
  readonly name: string;
  readonly lines: readonly string[];
}

/**
 * The chains that draw, each before those it leads to: by the client's address, and where that leads to an
 * endpoint that refused recently, at random.
 */
function drawChains(family: TableFamily): readonly Chain[] {
  const { client, clientV6, random, randomV6 } = SLOT_OFFSETS;
  const atRandom = SLOT_CLASSES.flatMap((kind) => draws(kind, SLOT_COUNTS[kind], random));
  const ipv4 = byClient('draw_client', 'ip', client, '');
  if (family === 'ip') return [...ipv4, ...atRandom];
  return [
    ...ipv4,
    ...byClient('draw_client_v6', 'ip6', client, '_v6'),
    ...byClient('draw_client_own', 'ip6', clientV6, '_own'),
    ...atRandom,
    ...SLOT_CLASSES.flatMap((one) => draws(`${one}_own`, SLOT_COUNTS[one], randomV6)),
  ];
}

const SLOT = 'meta mark set meta l4proto . th dport . meta mark map @slots';

/** Draws one endpoint at random; draws again if it refused recently. */
function draws(kind: string, slots: number, offset: number): Chain[] {
  return Array.from({ length: DRAWS }, (_, at) => ({
    name: `draw_${kind}_${at + 1}`,
    lines: [
      `meta mark set numgen random mod ${slots}${offset === 0 ? '' : ` offset ${offset}`}`,
      SLOT,
      // nft resolves chain names within one batch, so the next chain may come later.
      ...(at + 1 === DRAWS ? [] : [`meta mark @suspects goto draw_${kind}_${at + 2}`]),
      'goto take',
    ],
  }));
}

/** The same client has the same place on every node: the seed is the same, and so are the tables. */
function byClient(name: string, ip: 'ip' | 'ip6', offset: number, sets: string): Chain[] {
  const port = 'meta l4proto . th dport';
  const kind = sets === '_own' ? '_own' : '';
  return [
    {
      name,
      lines: [
        `meta mark set jhash ${ip} saddr mod ${MAGLEV_PLACES} seed ${hex(CLIENT_SEED)} offset ${offset}`,
        SLOT,
        ...SLOT_CLASSES.map(
          (one) => `meta mark @suspects ${port} @${one}${sets} goto draw_${one}${kind}_1`,
        ),
        'goto take',
      ],
    },
  ];
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
