import { nodeAddress } from '../../address.js';
import { type ClientLimits, limitsName, PERIOD_S, sameLimits } from '../../client-limits.js';
import { type NftFamily, TABLE, TUNNEL_DEVICE } from '../../layout.js';
import type { ElementChanges } from '../../table/element-changes.js';
import { chainText } from '../../table/ruleset.js';
import type { SectionRules, TablePlace, TableSection } from '../../table/table-section.js';
import type { PortChange } from './model.js';

/** Clients of ports with the same limits that the kernel remembers; it limits no others. */
const CLIENTS_SIZE = 65_535;
/** Refused clients that the kernel counts, and for how long after the last attempt. */
const REFUSED_SIZE = 4096;
const REFUSED_MINUTES = 10;
/** Shortest time that a client's pace is remembered. */
const PACE_MIN_S = 10;

/** Sets that the kernel counts refused attempts in, by IP version. */
export const LIMIT_REFUSED_SETS = { 4: 'limit_refused', 6: 'limit_refused_v6' } as const;

const PORT = 'meta l4proto . th dport';
/** A client, as the key of sets. A host of IPv6 has all addresses of a /64 network. */
const CLIENT = {
  4: `ip saddr . ${PORT}`,
  6: `ip6 saddr & ffff:ffff:ffff:ffff:: . ${PORT}`,
} as const;

/**
 * Limits of each client of published ports, where clients arrive. The kernel takes no numbers from sets, so those
 * that are in use have a chain and sets of their own, which ports with the same limits share: the rules that a
 * packet passes are as many as ever.
 *
 * - `limited`: the chain of a port with limits. Looks at the first packet of a connection alone, so a change
 *   ends none; what it counts begins anew with the chain.
 * - `over_limit`: counts and refuses.
 *
 * The node's mesh address is left out: what loopback listeners dial there came from the host itself, or passed here
 * before.
 */
export class LimitSection implements TableSection {
  /** By port: `tcp . 80`. */
  readonly #ports = new Map<string, ClientLimits>();
  /** Of ports that changed since the last hand-over: what the table has, undefined if nothing. */
  readonly #told = new Map<string, ClientLimits | undefined>();
  /** Ports by the name of their limits, as of the last hand-over. */
  readonly #uses = new Map<string, number>();

  /** Whether any port has limits. */
  get isWanted(): boolean {
    return this.#ports.size > 0;
  }

  follow(changes: Iterable<PortChange>): void {
    for (const { before, after } of changes) {
      const { protocol, publishedPort } = (after ?? before)!;
      const port = `${protocol} . ${publishedPort}`;
      const options = after?.source.options;
      // The proxy of a port with the PROXY protocol counts itself.
      const limits = options?.proxyProtocol === undefined ? options?.limits : undefined;
      const old = this.#ports.get(port);
      if (sameLimits(old, limits)) continue;
      if (!this.#told.has(port)) this.#told.set(port, old);
      if (limits === undefined) this.#ports.delete(port);
      else this.#ports.set(port, limits);
    }
  }

  addAll(changes: ElementChanges): void {
    const named = new Map([...this.#ports.values()].map((limits) => [limitsName(limits), limits]));
    for (const limits of named.values()) changes.declare(declaration(changes.family, limits));
    for (const [port, limits] of this.#ports) changes.add('limited', element(port, limits));
  }

  takeChanges(changes: ElementChanges): void {
    const touched = new Map<string, { readonly limits: ClientLimits; readonly before: number }>();
    const use = (limits: ClientLimits, by: 1 | -1): void => {
      const name = limitsName(limits);
      const uses = this.#uses.get(name) ?? 0;
      if (!touched.has(name)) touched.set(name, { limits, before: uses });
      this.#uses.set(name, uses + by);
    };
    for (const [port, told] of this.#told) {
      const limits = this.#ports.get(port);
      if (sameLimits(told, limits)) continue;
      if (told !== undefined) {
        use(told, -1);
        changes.delete('limited', port);
      }
      if (limits !== undefined) {
        use(limits, 1);
        changes.add('limited', element(port, limits));
      }
    }
    this.#told.clear();
    for (const [name, { limits, before }] of touched) {
      const isUsed = this.#uses.get(name)! > 0;
      if (before === 0 && isUsed) changes.declare(declaration(changes.family, limits));
      if (before > 0 && !isUsed) changes.retire(retirement(changes.family, limits));
      if (!isUsed) this.#uses.delete(name);
    }
  }

  rules({ self, family }: TablePlace): SectionRules {
    const inV6 = (...lines: readonly string[]) => (family === 'inet' ? lines : []);
    const first = 'ct state new ct status ! confirmed fib daddr type local jump limited_port';
    const elsewhere = (ip: 'ip' | 'ip6', suffix: string) =>
      `meta nfproto ${ip === 'ip' ? 'ipv4' : 'ipv6'} ${PORT} @restricted${suffix} ${ip} daddr . ${PORT} != @allowed${suffix} return`;
    const count = (version: 4 | 6) =>
      `update @${LIMIT_REFUSED_SETS[version]} { ${PORT} . ${version === 4 ? 'ip' : 'ip6'} saddr timeout ${REFUSED_MINUTES}m counter }`;
    const refused = (version: 4 | 6) =>
      `set ${LIMIT_REFUSED_SETS[version]} { type inet_proto . inet_service . ipv${version}_addr; size ${REFUSED_SIZE}; flags dynamic,timeout; }`;
    return {
      sets: [
        'map limited { type inet_proto . inet_service : verdict; }',
        refused(4),
        ...inV6(refused(6)),
      ],
      chains: [
        chainText('limited_port', [
          elsewhere('ip', ''),
          ...inV6(elsewhere('ip6', '_v6')),
          `${PORT} vmap @limited`,
        ]),
        chainText('over_limit', [
          count(4),
          ...inV6(count(6)),
          'meta l4proto tcp reject with tcp reset',
          `reject with ${family === 'inet' ? 'icmpx' : 'icmp'} port-unreachable`,
        ]),
      ].join(''),
      rules: {
        origin: [`iifname != { "${TUNNEL_DEVICE}", "lo" } ${first}`],
        origin_local: [
          `ip daddr != { 127.0.0.0/8, ${nodeAddress(self.subnet)} } ${first}`,
          ...inV6(`ip6 daddr != ::1 ${first}`),
        ],
      },
      referred: ['limited_port'],
    };
  }
}

function element(port: string, limits: ClientLimits): string {
  return `${port} : jump limit${limitsName(limits)}`;
}

/** The sets of some limits, each with the rule that fills it. */
function parts(family: NftFamily, limits: ClientLimits) {
  const { connections, rate } = limits;
  const name = limitsName(limits);
  const versions = family === 'inet' ? ([4, 6] as const) : ([4] as const);
  return versions.flatMap((version) => {
    const nfproto = family === 'inet' ? `meta nfproto ipv${version} ` : '';
    const set = (kind: string, flags: string) => {
      const set = `${kind}${name}v${version}`;
      const type = `ipv${version}_addr . inet_proto . inet_service`;
      return { set, text: `set ${set} { type ${type}; size ${CLIENTS_SIZE}; flags ${flags}; }` };
    };
    const found: { set: string; text: string; rule: string }[] = [];
    if (rate !== undefined) {
      const { count, per, burst } = rate;
      const paces = set('pace', 'dynamic,timeout');
      // Until then, a client that is silent has all of its burst again.
      const timeoutS = Math.max(PACE_MIN_S, Math.ceil((burst * PERIOD_S[per]) / count) + 1);
      const rule = `${nfproto}update @${paces.set} { ${CLIENT[version]} timeout ${timeoutS}s limit rate over ${count}/${per} burst ${burst} packets } goto over_limit`;
      found.push({ ...paces, rule });
    }
    if (connections !== undefined) {
      // The kernel forgets a client with its last connection.
      const open = set('open', 'dynamic');
      const rule = `${nfproto}add @${open.set} { ${CLIENT[version]} ct count over ${connections} } goto over_limit`;
      found.push({ ...open, rule });
    }
    return found;
  });
}

function declaration(family: NftFamily, limits: ClientLimits): string {
  const all = parts(family, limits);
  const sets = all.map(({ text }) => `  ${text}\n`).join('');
  const rules = all.map(({ rule }) => rule);
  return `table ${family} ${TABLE} {\n${sets}${chainText(`limit${limitsName(limits)}`, rules)}}\n`;
}

function retirement(family: NftFamily, limits: ClientLimits): string {
  const where = `${family} ${TABLE}`;
  const chain = `limit${limitsName(limits)}`;
  return [
    `flush chain ${where} ${chain}\ndelete chain ${where} ${chain}\n`,
    ...parts(family, limits).map(({ set }) => `delete set ${where} ${set}\n`),
  ].join('');
}
