import { FIRST_IPVS_MARK, LAST_IPVS_MARK, PEER_MARK_MASK } from '../layout.js';
import type { ElementChanges } from '../table/element-changes.js';
import { type Family, only } from '../table/family.js';
import { chainText } from '../table/ruleset.js';
import type { SectionRules, TablePlace, TableSection } from '../table/table-section.js';
import { TrackedElements } from '../table/tracked-elements.js';
import { GUARD_SETS, type GuardPlan } from './guard-plan.js';

/** Refused attempts that the kernel remembers, and for how long after the last one. */
const REFUSED_SIZE = 4096;
const REFUSED_MINUTES = 10;

/** The set that the kernel counts refused attempts in. */
export const REFUSED_SET = 'guard_refused';

/**
 * Who may connect to tasks of this node, of one family. Looks at every packet that a client sends to a task whose
 * service has rules, so a rule that goes ends the connections that it admitted.
 *
 * - `guard_callers`: addresses of services that rules name, with the service's number; `guard_admits`: which numbers
 *   reach which task and port.
 * - `guard_nets`: outside networks. `guard_open`: everybody.
 * - What is left is counted and refused. A new connection is told that the port is unreachable, which no node takes
 *   for the refusal of one member that others may not share. A refusal to a client of another node has to go back
 *   through that one, as replies do: `origin_local` marks it, and the kernel routes it again.
 * - Clients whom IPVS leads to a task here come by `origin_local` too, as if this host had sent their packets.
 */
export class GuardSection implements TableSection {
  readonly #family: Family;
  readonly #sets = new Map(GUARD_SETS.map((name) => [name, new TrackedElements(name)]));

  constructor(family: Family) {
    this.#family = family;
  }

  /** Whether anything of this family is guarded. */
  get isWanted(): boolean {
    return this.#sets.get('guarded')!.size > 0;
  }

  follow(plan: GuardPlan): void {
    for (const [name, elements] of this.#sets) elements.replace(plan.get(name) ?? NONE);
  }

  addAll(changes: ElementChanges): void {
    for (const elements of this.#sets.values()) elements.addAll(changes);
  }

  takeChanges(changes: ElementChanges): void {
    for (const elements of this.#sets.values()) elements.takeChanges(changes);
  }

  rules(place: TablePlace): SectionRules {
    const ours = only(this.#family, place);
    const { name: ip, addressType: type, version } = this.#family;
    const to = `${ip} daddr . meta l4proto . th dport`;
    const port = 'inet_proto . inet_service';
    const unreachable = version === 4 ? 'icmp port-unreachable' : 'icmpv6 port-unreachable';
    const mask = hex(PEER_MARK_MASK);
    const ipvs = `${hex(FIRST_IPVS_MARK)}-${hex(LAST_IPVS_MARK)}`;
    return {
      sets: [
        `set guarded { type ${type}; }`,
        `set guard_open { type ${type} . ${port}; }`,
        `set guard_open_all { type ${type}; }`,
        `map guard_callers { type ${type} : mark; }`,
        `set guard_admits { type mark . ${type} . ${port}; }`,
        `set guard_admits_all { type mark . ${type}; }`,
        `set guard_nets { type ${type} . ${type} . ${port}; flags interval; }`,
        `set guard_nets_all { type ${type} . ${type}; flags interval; }`,
        `set ${REFUSED_SET} { type ${type} . ${type} . ${port}; size ${REFUSED_SIZE}; flags dynamic,timeout; }`,
      ],
      chains:
        chainText('guard', [
          `${ip} daddr @guard_open_all return`,
          `${to} @guard_open return`,
          `${ip} saddr . ${ip} daddr @guard_nets_all return`,
          `${ip} saddr . ${to} @guard_nets return`,
          'meta mark set 0',
          `meta mark set ${ip} saddr map @guard_callers`,
          `meta mark . ${ip} daddr @guard_admits_all meta mark set 0 return`,
          `meta mark . ${to} @guard_admits meta mark set 0 return`,
          'meta mark set 0',
          'goto guard_refuse',
        ]) +
        chainText('guard_refuse', [
          `update @${REFUSED_SET} { ${ip} daddr . ${ip} saddr . meta l4proto . th dport timeout ${REFUSED_MINUTES}m counter }`,
          'meta l4proto tcp ct status assured reject with tcp reset',
          `reject with ${unreachable}`,
        ]),
      rules: {
        forwarded: [`ct direction original ${ip} daddr @guarded jump guard`],
        origin_local: [
          `ct direction original ct mark ${ipvs} ${ip} daddr @guarded fib saddr type != local jump guard`,
          `ct direction reply ${ip} saddr @guarded ct mark & ${mask} != 0 meta mark set ct mark`,
          `${ours}ct direction reply ct state related ct mark & ${mask} != 0 meta mark set ct mark`,
        ],
      },
      referred: ['guard_refuse', 'guard'],
    };
  }
}

const NONE: ReadonlyMap<string, string> = new Map();

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
