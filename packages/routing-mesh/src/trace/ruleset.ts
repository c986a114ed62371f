import { NftSet } from './nft-set.js';
import { UnknownNftTextError } from './nft-tokens.js';
import { parseHook, parseRule } from './rule-parser.js';
import type { Chain, Hook, Rule } from './rule.js';
import { jumpOf } from './rule-runner.js';
import { readTypes } from './values.js';

type TableFamily = 'ip' | 'ip6' | 'inet';

/** One table as its text says. */
export class NftTable {
  readonly family: TableFamily;
  readonly name: string;
  readonly chains = new Map<string, Chain>();
  readonly sets = new Map<string, NftSet>();
  /** Names of its other objects: limits of connections. */
  readonly objects = new Set<string>();

  constructor(family: TableFamily, name: string) {
    this.family = family;
    this.name = name;
  }

  set(name: string): NftSet {
    const set = this.sets.get(name);
    if (set === undefined) throw new Error(`table ${this.name} has no set ${name}`);
    return set;
  }
}

/**
 * Our tables, as the transactions that were written to the kernel leave them: takes the same text. What the kernel
 * would refuse throws: an element that is missing or there already, a chain or set that a rule names in vain. A
 * transaction that throws may be half done: the ruleset is of no use any more.
 */
export class NftRuleset {
  readonly #tables = new Map<string, NftTable>();

  get tables(): readonly NftTable[] {
    return [...this.#tables.values()];
  }

  table(family: string, name: string): NftTable {
    const table = this.#tables.get(`${family} ${name}`);
    if (table === undefined) throw new Error(`there is no table ${family} ${name}`);
    return table;
  }

  /** @throws UnknownNftTextError for what the tracer could misread */
  apply(transaction: string): void {
    const lines = transaction.split('\n');
    const changed = new Set<NftTable>();
    for (let at = 0; at < lines.length; at++) {
      const line = lines[at]!.trim();
      if (line === '') continue;
      if (/^table \S+ \S+ \{$/.test(line)) {
        const end = lines.indexOf('}', at);
        if (end === -1) throw new UnknownNftTextError('a table without end', line);
        changed.add(this.#applyBlock(line, lines.slice(at + 1, end)));
        at = end;
      } else this.#applyCommand(line, changed);
    }
    for (const table of changed) checkReferences(table);
  }

  #applyCommand(line: string, changed: Set<NftTable>): void {
    const element = /^(add|delete) element (ip|ip6|inet) (\S+) (\S+) \{ (.+) \}$/.exec(line);
    if (element !== null) {
      const [, verb, family, table, name, list] = element;
      const set = this.table(family!, table!).set(name!);
      for (const each of list!.split(', ')) {
        if (verb === 'add') set.add(each);
        else set.delete(each);
      }
      return;
    }
    const chain = /^(add|flush|delete) chain (ip|ip6|inet) (\S+) (\S+?)(?: \{ (.+) \})?$/.exec(
      line,
    );
    if (chain !== null) {
      const [, verb, family, tableName, name, hook] = chain;
      const table = this.table(family!, tableName!);
      const before = table.chains.get(name!);
      if (verb === 'add') {
        if (before === undefined) table.chains.set(name!, chainOf(name!, hook, []));
      } else if (before === undefined) throw new Error(`there is no chain ${name}`);
      else if (verb === 'flush') table.chains.set(name!, { ...before, rules: [] });
      else table.chains.delete(name!);
      changed.add(table);
      return;
    }
    const set = /^delete set (ip|ip6|inet) (\S+) (\S+)$/.exec(line);
    if (set !== null) {
      const table = this.table(set[1]!, set[2]!);
      if (!table.sets.delete(set[3]!)) throw new Error(`there is no set ${set[3]}`);
      changed.add(table);
      return;
    }
    const table = /^(add|delete) table (ip|ip6|inet) (\S+)$/.exec(line);
    if (table === null) throw new UnknownNftTextError('the command', line);
    const [, verb, family, name] = table;
    if (verb === 'add') this.#open(family as TableFamily, name!);
    else if (!this.#tables.delete(`${family} ${name}`))
      throw new Error(`there is no table ${name}`);
  }

  #open(family: TableFamily, name: string): NftTable {
    const key = `${family} ${name}`;
    let table = this.#tables.get(key);
    if (table === undefined) {
      table = new NftTable(family, name);
      this.#tables.set(key, table);
    }
    return table;
  }

  #applyBlock(head: string, body: readonly string[]): NftTable {
    const [, family, name] = head.split(' ');
    if (!['ip', 'ip6', 'inet'].includes(family!)) throw new UnknownNftTextError('the table', head);
    const table = this.#open(family as TableFamily, name!);
    let open: { readonly name: string; hook?: Hook; readonly rules: Rule[] } | undefined;
    for (const text of body) {
      const line = text.trim();
      if (line === '') continue;
      const chain = /^chain (\w+) \{$/.exec(line);
      if (chain !== null) {
        const before = table.chains.get(chain[1]!);
        open = { name: chain[1]!, rules: [...(before?.rules ?? [])] };
        if (before?.hook !== undefined) open.hook = before.hook;
      } else if (line === '}') {
        if (open === undefined) throw new UnknownNftTextError('an end of nothing', head);
        table.chains.set(open.name, open);
        open = undefined;
      } else if (open !== undefined) {
        const hook = parseHook(line);
        if (hook !== undefined) open.hook = hook;
        else open.rules.push(parseRule(line));
      } else if (/^(set|map) /.test(line)) {
        const set = new NftSet(line);
        if (!table.sets.has(set.name)) table.sets.set(set.name, set);
      } else {
        const limit = /^ct timeout (\w+) \{ [^{}]*\{[^{}]*\}; \}$/.exec(line);
        if (limit === null) throw new UnknownNftTextError('the object', line);
        table.objects.add(limit[1]!);
      }
    }
    return table;
  }
}

function chainOf(name: string, hookText: string | undefined, rules: readonly Rule[]): Chain {
  if (hookText === undefined) return { name, rules };
  const hook = parseHook(hookText);
  if (hook === undefined) throw new UnknownNftTextError('the hook', hookText);
  return { name, hook, rules };
}

/** Whatever a rule names exists, and has the types that the rule gives it. */
function checkReferences(table: NftTable): void {
  for (const { name, rules } of table.chains.values()) {
    for (const { text, statements } of rules) {
      const setOf = (set: string, key: readonly { readonly type?: string }[]): NftSet => {
        const found = table.sets.get(set);
        if (found === undefined) throw new UnknownNftTextError(`the set in ${name}`, text);
        const types = key.map(({ type }) => type ?? '?').join(' . ');
        if (types !== found.keyTypes.join(' . ')) {
          throw new UnknownNftTextError(`types of the key of ${set}, a ${types}`, text);
        }
        return found;
      };
      for (const statement of statements) {
        if (statement.kind === 'jump' || statement.kind === 'goto') {
          if (!table.chains.has(statement.chain))
            throw new UnknownNftTextError(`the chain in ${name}`, text);
        } else if (statement.kind === 'match' && statement.wanted.kind === 'set') {
          setOf(statement.wanted.set, statement.fields);
        } else if (statement.kind === 'vmap') {
          const { elements } = setOf(statement.map, statement.key);
          for (const each of elements) {
            if (!table.chains.has(jumpOf(each.split(' : ')[1] ?? '')))
              throw new UnknownNftTextError(`the chain in ${statement.map}`, each);
          }
        } else if (statement.kind === 'remember' || statement.kind === 'limit') {
          setOf(statement.set, statement.key);
        } else if (statement.kind === 'timeout') {
          if (!table.objects.has(statement.name))
            throw new UnknownNftTextError(`the limit in ${name}`, text);
        } else if ('to' in statement && statement.to.kind === 'map') {
          const { valueTypes } = setOf(statement.to.map, statement.to.key);
          const wanted = wantedTypes(statement.kind === 'set' ? statement.what : 'address');
          if (valueTypes === undefined || !wanted.includes(valueTypes.join(' . ')))
            throw new UnknownNftTextError('types of the value', text);
        }
      }
    }
  }
}

function wantedTypes(what: 'mark' | 'ct mark' | 'zone' | 'address'): readonly string[] {
  if (what === 'zone') return readTypes('ct zone');
  if (what !== 'address') return readTypes('mark');
  return ['ipv4_addr', 'ipv6_addr', 'ipv4_addr . inet_service', 'ipv6_addr . inet_service'];
}
