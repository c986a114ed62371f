import type { FirewallHook, FirewallKind, ForeignFirewall } from '@swarm/api';
import { TABLE, TIMEOUT_TABLE } from '../layout.js';

/** Longest text of a table's name that is reported. */
const NAME_LIMIT = 64;
/** Most firewalls that are reported. */
const FIREWALLS_LIMIT = 8;
/** Only these carry packets of the tunnel and of tasks. */
const FAMILIES: readonly unknown[] = ['ip', 'ip6', 'inet'];

interface Chain {
  readonly table: string;
  readonly name: string;
  readonly hook: FirewallHook | undefined;
  readonly isDrop: boolean;
}

/**
 * Firewalls of this host that may stop packets of the mesh, by what `nft -j list chains` says. A packet must pass
 * every table, and we never change anyone else's.
 *
 * Knows firewalld by its table, ufw and Docker by their chains in the tables of iptables; any other by a chain
 * that drops what it has no rule for. Rules are not read: whether one lets our packets through shows in the probes.
 * Skips what it cannot read, as of a newer nft.
 * @returns undefined when the text as a whole is no such listing
 */
export function foreignFirewalls(listing: string): readonly ForeignFirewall[] | undefined {
  const chains = readChains(listing);
  if (chains === undefined) return undefined;
  const found: ForeignFirewall[] = [];
  for (const [table, own] of byTable(chains)) {
    const Kind = kindOf(table, own);
    const stops = own.filter(
      ({ hook, isDrop }) => hook !== undefined && (isDrop || Kind === 'firewalld'),
    );
    const Hooks = [...new Set(stops.flatMap(({ hook }) => hook ?? []))].sort();
    if (Hooks.length > 0) found.push({ Kind, Table: table.slice(0, NAME_LIMIT), Hooks });
  }
  return found.slice(0, FIREWALLS_LIMIT);
}

function readChains(listing: string): Chain[] | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(listing);
  } catch {
    return undefined;
  }
  const items = (parsed as { nftables?: unknown } | null)?.nftables;
  if (!Array.isArray(items)) return undefined;
  return items.flatMap((item: unknown) => {
    const chain = (item as { chain?: Readonly<Record<string, unknown>> } | null)?.chain;
    if (typeof chain !== 'object' || chain === null) return [];
    const { family, table, name, hook, policy } = chain;
    if (!FAMILIES.includes(family) || typeof table !== 'string' || typeof name !== 'string')
      return [];
    if (table === TABLE || table === TIMEOUT_TABLE) return [];
    const known = hook === 'forward' || hook === 'input' ? hook : undefined;
    return [{ table: `${String(family)} ${table}`, name, hook: known, isDrop: policy === 'drop' }];
  });
}

function byTable(chains: readonly Chain[]): Map<string, Chain[]> {
  const tables = new Map<string, Chain[]>();
  for (const chain of chains) tables.set(chain.table, [...(tables.get(chain.table) ?? []), chain]);
  return tables;
}

function kindOf(table: string, chains: readonly Chain[]): FirewallKind {
  if (table.endsWith(' firewalld')) return 'firewalld';
  const has = (test: (name: string) => boolean) => chains.some(({ name }) => test(name));
  if (has((name) => name.startsWith('ufw-') || name.startsWith('ufw6-'))) return 'ufw';
  if (has((name) => name === 'DOCKER-USER' || name === 'DOCKER')) return 'docker';
  return 'other';
}
