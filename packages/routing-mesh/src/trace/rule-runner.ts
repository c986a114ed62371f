import assert from 'node:assert/strict';
import { type IpAddress, parseIpAddress } from '@swarm/api';
import type { Field } from './field.js';
import { jhash, reciprocalScale } from './jhash.js';
import type { Packet, TraceHost } from './packet.js';
import type { Expression, Match, Rule, Statement } from './rule.js';
import type { NftTable } from './ruleset.js';
import { covers, readNumber } from './values.js';
import type { Ending, World } from './world.js';

/** To another chain. */
export interface Lead {
  readonly kind: 'jump' | 'goto';
  readonly chain: string;
}

/** What follows a rule for one case. */
export type Way =
  | { readonly kind: 'next' }
  | { readonly kind: 'return' }
  | Lead
  | { readonly kind: 'end'; readonly ending: Ending };

export interface Ran {
  readonly world: World;
  readonly isMatched: boolean;
  readonly way: Way;
}

const NEXT: Way = { kind: 'next' };

/** Runs one rule on one case; a draw makes several of it. */
export function runRule(
  rule: Rule,
  world: World,
  table: NftTable,
  host: TraceHost,
): readonly Ran[] {
  let cases: readonly World[] = [world];
  const ran: Ran[] = [];
  for (const statement of rule.statements) {
    const going: World[] = [];
    for (const each of cases) {
      const after = runStatement(statement, each, table, host);
      if (after === undefined) ran.push({ world: each, isMatched: false, way: NEXT });
      else if ('way' in after) ran.push({ world: after.world, isMatched: true, way: after.way });
      else going.push(...after.worlds);
    }
    cases = going;
  }
  return [...ran, ...cases.map((each) => ({ world: each, isMatched: true, way: NEXT }))];
}

/** undefined: the rule does not match. */
type After =
  | { readonly worlds: readonly World[] }
  | { readonly world: World; readonly way: Way }
  | undefined;

function runStatement(statement: Statement, world: World, table: NftTable, host: TraceHost): After {
  const { packet } = world;
  switch (statement.kind) {
    case 'match':
      return matches(statement, packet, table, host) ? { worlds: [world] } : undefined;
    case 'clamp':
      return { worlds: [world] };
    case 'remember':
      return readAll(statement.key, packet, host) === undefined ? undefined : { worlds: [world] };
    case 'limit':
      return undefined;
    case 'vmap': {
      const key = readAll(statement.key, packet, host);
      const verdict = key === undefined ? undefined : table.set(statement.map).find(key);
      if (verdict === undefined) return undefined;
      return { world, way: { kind: 'jump', chain: jumpOf(verdict) } };
    }
    case 'timeout':
      return { worlds: [{ ...world, timeout: statement.name }] };
    case 'set':
      return runSet(statement, world, table, host);
    case 'jump':
    case 'goto':
      return { world, way: { kind: statement.kind, chain: statement.chain } };
    case 'return':
      return { world, way: { kind: 'return' } };
    case 'accept':
    case 'drop':
      return { world, way: { kind: 'end', ending: { kind: statement.kind } } };
    case 'reject':
      return {
        world,
        way: { kind: 'end', ending: { kind: 'rejected', answer: statement.answer } },
      };
    case 'masquerade': {
      const address = host.addressOf(packet.outInterface ?? '');
      // The kernel drops what it cannot give an address.
      if (address === undefined) return end(world, 'drop');
      return end(translatedFrom(world, address), 'accept');
    }
    case 'snat': {
      const to = evaluate(statement.to, packet, table, host)?.[0]?.text;
      return to === undefined ? undefined : end(translatedFrom(world, addressOf(to)), 'accept');
    }
    case 'dnat': {
      const to = evaluate(statement.to, packet, table, host)?.[0]?.text;
      return to === undefined ? undefined : end(translatedTo(world, to), 'accept');
    }
  }
}

/** The only verdict in our maps. */
export function jumpOf(verdict: string): string {
  assert(verdict.startsWith('jump '), 'a map leads to a chain');
  return verdict.slice('jump '.length);
}

function end(world: World, kind: 'accept' | 'drop'): After {
  return { world, way: { kind: 'end', ending: { kind } } };
}

function runSet(
  { what, to }: Statement & { readonly kind: 'set' },
  world: World,
  table: NftTable,
  host: TraceHost,
): After {
  const values = evaluate(to, world.packet, table, host);
  if (values === undefined) return undefined;
  const worlds = values.map(({ text, share }): World => {
    const value = readNumber(text);
    const probability = world.probability * share;
    const { packet } = world;
    if (what === 'mark') return { ...world, probability, packet: { ...packet, mark: value } };
    if (what === 'zone') return { ...world, probability, zone: value };
    return {
      ...world,
      probability,
      packet: { ...packet, flow: { ...packet.flow, mark: value } },
    };
  });
  return { worlds };
}

/** What an expression can be, with the share of cases; undefined when the kernel would go to the next rule. */
function evaluate(
  expression: Expression,
  packet: Packet,
  table: NftTable,
  host: TraceHost,
): readonly { readonly text: string; readonly share: number }[] | undefined {
  const only = (text: string | undefined) =>
    text === undefined ? undefined : [{ text, share: 1 }];
  switch (expression.kind) {
    case 'literal':
      return only(expression.text);
    case 'fields':
      return only(readAll(expression.fields, packet, host)?.join(' . '));
    case 'map': {
      const key = readAll(expression.key, packet, host);
      return only(key === undefined ? undefined : table.set(expression.map).find(key));
    }
    case 'draw': {
      const { count, first, by } = expression;
      if (by !== undefined) {
        const [value] = readAll([by.field], packet, host) ?? [];
        if (value === undefined) return undefined;
        return only(String(first + reciprocalScale(jhash(addressOf(value), by.seed), count)));
      }
      const share = 1 / count;
      return Array.from({ length: count }, (_, i) => ({ text: String(first + i), share }));
    }
  }
}

function readAll(
  fields: readonly Field[],
  packet: Packet,
  host: TraceHost,
): readonly string[] | undefined {
  const values: string[] = [];
  for (const field of fields) {
    const value = field.read(packet, host);
    if (typeof value !== 'string') return undefined;
    values.push(value);
  }
  return values;
}

function matches(match: Match, packet: Packet, table: NftTable, host: TraceHost): boolean {
  const { fields, mask, isNegated, wanted } = match;
  const [field] = fields;
  if (field!.isMany === true) {
    const has = field!.read(packet, host) as readonly string[] | undefined;
    if (has === undefined || wanted.kind === 'set') return false;
    const names = mask === undefined ? wanted.values : mask.replace(/[()]/g, '').split('|');
    const found = names.filter((name) => has.includes(name));
    if (mask === undefined) return found.length > 0 !== isNegated;
    return (found.join('|') === wanted.values.join('|')) !== isNegated;
  }
  const key = readAll(fields, packet, host);
  if (key === undefined) return false;
  if (wanted.kind === 'set') return (table.set(wanted.set).find(key) !== undefined) !== isNegated;
  const value = mask === undefined ? key[0]! : String((Number(key[0]) & Number(mask)) >>> 0);
  return wanted.values.some((each) => isValue(each, value)) !== isNegated;
}

/** Whether a value is the one that a rule names, or in its range, prefix or pattern. */
function isValue(wanted: string, value: string): boolean {
  if (wanted === value) return true;
  if (wanted.endsWith('*')) return value.startsWith(wanted.slice(0, -1));
  if (wanted.includes('/')) return covers(wanted, value);
  const range = /^(0x[0-9a-f]+|\d+)-(0x[0-9a-f]+|\d+)$/.exec(wanted);
  if (range !== null) return Number(value) >= Number(range[1]) && Number(value) <= Number(range[2]);
  return /^(0x[0-9a-f]+|\d+)$/.test(wanted) && Number(wanted) === Number(value);
}

function addressOf(text: string): IpAddress {
  const address = parseIpAddress(text);
  if (address === undefined) throw new Error(`${text} is not an address`);
  return address;
}

function translatedTo(world: World, to: string): World {
  const [host, port] = to.split(' . ');
  const { packet } = world;
  const address = addressOf(host!);
  const destinationPort = port === undefined ? packet.destinationPort : Number(port);
  const { flow } = packet;
  return {
    ...world,
    dnat: { address, port: destinationPort },
    packet: {
      ...packet,
      destination: address,
      destinationPort,
      flow: {
        ...flow,
        status: [...flow.status, 'dnat'],
        originalDestination: flow.originalDestination ?? packet.destination,
      },
    },
  };
}

function translatedFrom(world: World, address: IpAddress): World {
  const { packet } = world;
  return {
    ...world,
    snat: address,
    packet: {
      ...packet,
      source: address,
      flow: { ...packet.flow, status: [...packet.flow.status, 'snat'] },
    },
  };
}
