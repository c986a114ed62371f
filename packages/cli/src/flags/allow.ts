import {
  ALLOW_ANY,
  type AllowedPort,
  type AllowRule,
  allowSource,
  type EndpointSpec,
  isPort,
} from '@swarm/api/client';
import { UsageError } from '../command.js';
import { distinct, type ListFlag } from './list-change.js';

/** One of a rule's ports, or all of them. */
interface Allowed {
  readonly from: string;
  readonly port?: AllowedPort;
}

/** Values of `--allow` that are no rules: nobody may connect, and whoever reaches the tasks may. */
const NONE = 'none';
const OPEN = 'open';

const ALLOW: ListFlag<Allowed> = {
  ...{ name: 'allow', what: 'rule' },
  key: shown,
  same: () => true,
  show: shown,
  find(text, items) {
    const wanted = parseAllowed(text);
    // Without a port, all rules for that source.
    const isAll = wanted.port === undefined;
    return items.filter((item) =>
      isAll ? item.from === wanted.from : shown(item) === shown(wanted),
    );
  },
};

/** The flags of a command line about who may connect; `removed` only exists on update. */
export interface AllowFlags {
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

/**
 * The rules after `--allow` and `--allow-rm`.
 * @param old the service's rules; undefined when it is open
 * @throws UsageError
 */
export function changedAllow(
  old: EndpointSpec['Allow'],
  { added, removed }: AllowFlags,
  change: (items: readonly Allowed[], added: readonly Allowed[]) => readonly Allowed[],
): EndpointSpec['Allow'] {
  if (added.includes(OPEN)) {
    if (added.length + removed.length > 1)
      throw new UsageError('--allow open stands alone: it removes all rules');
    // Left out, the rules would stay as they are.
    return [{ From: ALLOW_ANY }];
  }
  const rules = added.filter((text) => text !== NONE).map(parseAllowed);
  const before = added.includes(NONE) ? [] : (old ?? []).flatMap(itemsOf);
  return rulesOf(change(before, rules));
}

/** The rules that a create command gives; undefined when it gives none. */
export function createdAllow(added: readonly string[]): EndpointSpec['Allow'] {
  if (added.length === 0) return undefined;
  return changedAllow(undefined, { added, removed: [] }, (_, items) => distinct(ALLOW, items));
}

export { ALLOW };

/**
 * Parses `FROM[:PORT[/tcp|udp|sctp]]`: `web`, `web:8080`, `203.0.113.0/24:53/udp`, `[fd00::/8]:443`, `any:80`.
 * @throws UsageError
 */
export function parseAllowed(text: string): Allowed {
  const match =
    /^(?:\[([^\]]+)\]|([^:[\]]+)|([0-9a-fA-F:.]+(?:\/\d+)?))(?::(\d+)(?:\/([a-z]+))?)?$/.exec(text);
  const from = match?.[1] ?? match?.[2] ?? match?.[3];
  if (from === undefined || allowSource(from) === undefined) {
    throw bad(
      text,
      'write SERVICE[:PORT[/PROTOCOL]], NETWORK[:PORT], any[:PORT], none or open; put an IPv6 network in [ ]',
    );
  }
  const number = match?.[4];
  if (number === undefined) return { from };
  const protocol = match?.[5] ?? 'tcp';
  if (!isPort(Number(number))) throw bad(text, `${number} is not a port (1 to 65535)`);
  if (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'sctp')
    throw bad(text, `${protocol} is not tcp, udp or sctp`);
  return { from, port: { Protocol: protocol, Port: Number(number) } };
}

/** A rule as `--allow` has it, for people. */
export function shownRules(rules: readonly AllowRule[]): readonly string[] {
  return rules.flatMap(itemsOf).map(shown);
}

function shown({ from, port }: Allowed): string {
  if (port === undefined) return from;
  const source = from.includes(':') ? `[${from}]` : from;
  return `${source}:${port.Port}/${port.Protocol}`;
}

function itemsOf({ From: from, Ports = [] }: AllowRule): readonly Allowed[] {
  return Ports.length === 0 ? [{ from }] : Ports.map((port) => ({ from, port }));
}

/** One rule for each source. A source that is admitted to all ports needs no list of them. */
function rulesOf(items: readonly Allowed[]): readonly AllowRule[] {
  const rules = new Map<string, AllowedPort[] | undefined>();
  for (const { from, port } of items) {
    const ports = rules.get(from);
    if (port === undefined) rules.set(from, undefined);
    else if (!rules.has(from)) rules.set(from, [port]);
    else ports?.push(port);
  }
  return [...rules].map(([From, Ports]) => (Ports === undefined ? { From } : { From, Ports }));
}

function bad(text: string, why: string): UsageError {
  return new UsageError(`invalid argument '${text}' for --allow: ${why}`);
}
