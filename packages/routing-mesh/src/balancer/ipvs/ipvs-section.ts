import type { PortKey } from '@swarm/api';
import { FIRST_IPVS_MARK, LAST_IPVS_MARK } from '../../layout.js';
import { nodeAddress } from '../../address.js';
import { type ElementChanges, keyOf, type SetName } from '../../table/element-changes.js';
import { chainText } from '../../table/ruleset.js';
import type { SectionRules, TablePlace, TableSection } from '../../table/table-section.js';
import { TrackedElements } from '../../table/tracked-elements.js';
import {
  closedPorts,
  portSet,
  PUBLISHED_V4,
  PUBLISHED_V6,
  TO_PROXY,
} from '../nftables/closed-ports.js';
import type { ModelPort, PortChange } from '../nftables/model.js';
import { accessElements } from '../nftables/port-access.js';
import { isServed } from '../nftables/port-changes.js';
import { clientSets, forgive } from '../nftables/refusals.js';
import { weighty } from '../weights.js';
import type { SettingValues } from './ipvs-settings.js';
import { portMark } from './marks.js';

const MARKS = `${hex(FIRST_IPVS_MARK)}-${hex(LAST_IPVS_MARK)}`;

/**
 * The table's part for published ports that IPVS balances.
 *
 * - `dispatch`: a new connection to a published port gets the port's mark, by which IPVS knows its service, whichever
 *   address of this host it came to. It is the connection's mark too.
 * - IPVS takes the packet where it would be delivered to a program of this host, and sends it as if this host had:
 *   it passes `origin_local` (with the task's address), not `forwarded`. The packet's mark goes there, before a rule
 *   of others could take it for theirs.
 * - `sent`, `delivered`: a reply passes IPVS before these. So when the endpoint refuses, IPVS has seen that the
 *   connection is over when the refusal is dropped, and leads the client's next attempt elsewhere.
 * - `translate_source`: as for translated connections, which these are not for the packet filter.
 * - `ipvs_before`: the settings of IPVS before us, so that a later process can put them back.
 */
export class IpvsSection implements TableSection {
  #ports: ReadonlyMap<PortKey, ModelPort> = new Map();
  /** Of ports that changed since the last hand-over: what the table has, undefined if nothing. */
  readonly #told = new Map<PortKey, ModelPort | undefined>();
  /** Changes that IPVS does not know yet. */
  #untaken: PortChange[] = [];
  readonly #before = new TrackedElements('ipvs_before');
  #settings: SettingValues = new Map();

  follow(ports: ReadonlyMap<PortKey, ModelPort>, changes: Iterable<PortChange>): void {
    this.#ports = ports;
    for (const change of changes) {
      this.#untaken.push(change);
      if (!this.#told.has(change.key)) this.#told.set(change.key, change.before);
    }
  }

  /** For IPVS: what has changed since the last call. */
  takePorts(): readonly PortChange[] {
    const taken = this.#untaken;
    this.#untaken = [];
    return taken;
  }

  /** The settings of IPVS before us. */
  get before(): SettingValues {
    return this.#settings;
  }

  remember(before: SettingValues): void {
    this.#settings = before;
    this.#before.replace(new Map([...before].map(([id, value]) => [`${id}`, `${value}`])));
  }

  addAll(changes: ElementChanges): void {
    for (const port of this.#ports.values()) changePort(changes, undefined, port);
    this.#before.addAll(changes);
  }

  takeChanges(changes: ElementChanges): void {
    for (const [key, told] of this.#told) changePort(changes, told, this.#ports.get(key));
    this.#told.clear();
    this.#before.takeChanges(changes);
  }

  rules({ self, ingressNetwork, family }: TablePlace): SectionRules {
    const inV6 = (...lines: readonly string[]) => (family === 'inet' ? lines : []);
    const own = nodeAddress(self.subnet);
    const closed = closedPorts(family);
    const lead = (published: string, ports: string) =>
      published.replace('meta l4proto', 'meta mark set meta l4proto') + ` map @${ports} goto lead`;
    const refused =
      'ct direction reply tcp flags & (rst|fin|syn) == rst ct status ! assured ct mark @ipvs_shared jump refused';
    return {
      sets: [
        ...closed.sets,
        portSet('proxied'),
        'map ipvs_ports { type inet_proto . inet_service : mark; }',
        ...inV6('map ipvs_ports_v6 { type inet_proto . inet_service : mark; }'),
        'set ipvs_shared { type mark; }',
        'map ipvs_before { type mark : mark; }',
        ...clientSets('ipv4_addr', ''),
        ...inV6(...clientSets('ipv6_addr', '_v6')),
      ],
      chains: [
        closed.chains,
        chainText('lead', ['ct mark set meta mark']),
        chainText('refused', [
          ...inV6('meta nfproto ipv6 goto refused_v6'),
          ...forgive('ip', 'tried_once', 'tried_twice'),
        ]),
        ...inV6(chainText('refused_v6', forgive('ip6', 'tried_once_v6', 'tried_twice_v6'))),
      ].join(''),
      rules: {
        origin: closed.origin,
        origin_local: [
          `meta mark ${MARKS} ct mark ${MARKS} ct direction original meta mark set 0`,
          ...closed.originLocal,
        ],
        dispatch: [
          TO_PROXY,
          lead(PUBLISHED_V4, 'ipvs_ports'),
          ...inV6(lead(PUBLISHED_V6, 'ipvs_ports_v6')),
        ],
        delivered: [refused],
        sent: [refused],
        translate_source: [
          `ct mark ${MARKS} ip saddr @locals ip daddr ${ingressNetwork} snat to ${own}`,
          `ct mark ${MARKS} ip daddr != ${ingressNetwork} masquerade`,
        ],
      },
      referred: ['refuse', ...inV6('refused_v6'), 'refused', 'lead', 'admit'],
    };
  }
}

function changePort(
  changes: ElementChanges,
  before: ModelPort | undefined,
  after: ModelPort | undefined,
): void {
  if (before === after) return;
  const of = (port: ModelPort | undefined) =>
    port === undefined ? [] : portElements(port, changes.family === 'inet');
  const had = new Map(of(before).map((one) => [one.join(' '), one]));
  const has = new Map(of(after).map((one) => [one.join(' '), one]));
  for (const [text, [set, element]] of had) if (!has.has(text)) changes.delete(set, keyOf(element));
  for (const [text, one] of has) if (!had.has(text)) changes.add(...one);
}

/** What the table has of a port: where it may come from, its mark if it leads somewhere, whether others share it. */
function portElements(port: ModelPort, hasV6: boolean): readonly (readonly [SetName, string])[] {
  const { protocol, publishedPort, access, endpoints, source } = port;
  const key = `${protocol} . ${publishedPort}`;
  const mark = hex(portMark(protocol, publishedPort));
  const elements = [...accessElements(access, key, hasV6)];
  if (source.options.proxyProtocol !== undefined) elements.push(['proxied', key]);
  const isOpenV6 = hasV6 && access.onlyV6?.length !== 0;
  if (!isServed(port)) {
    // Elsewhere the port is nobody's or another program's.
    if (access.only === undefined) elements.push(['closed', key]);
    if (isOpenV6 && access.onlyV6 === undefined) elements.push(['closed_v6', key]);
    return elements;
  }
  elements.push(['ipvs_ports', `${key} : ${mark}`]);
  // Endpoints that are not reached over IPv6 are served by a listener.
  if (isOpenV6 && endpoints.some(({ addressV6 }) => addressV6 !== undefined))
    elements.push(['ipvs_ports_v6', `${key} : ${mark}`]);
  // With affinity the next attempt would go to the same endpoint: the client hears at once.
  if (weighty(endpoints).length > 1 && !source.options.hasAffinity)
    elements.push(['ipvs_shared', mark]);
  return elements;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
