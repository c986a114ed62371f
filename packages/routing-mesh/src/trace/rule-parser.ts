import { type Field, takeField, takeFields } from './field.js';
import { NftTokens, UnknownNftTextError } from './nft-tokens.js';
import type { Expression, Hook, Rule, Statement, Wanted } from './rule.js';
import { readNumber, unquoted } from './values.js';

const PRIORITIES: Readonly<Record<string, number>> = {
  raw: -300,
  mangle: -150,
  dstnat: -100,
  filter: 0,
  srcnat: 100,
};

/** @returns undefined when the line is not a hook */
export function parseHook(line: string): Hook | undefined {
  const found =
    /^type (filter|nat|route) hook (prerouting|input|forward|output|postrouting) priority (-?\d+|[a-z]+); policy accept;$/.exec(
      line,
    );
  if (found === null) return undefined;
  const [, type, name, priority] = found;
  const number = PRIORITIES[priority!] ?? Number(priority);
  if (Number.isNaN(number)) throw new UnknownNftTextError('the priority', line);
  return { type: type as Hook['type'], name: name as Hook['name'], priority: number };
}

/** @throws UnknownNftTextError */
export function parseRule(text: string): Rule {
  const tokens = new NftTokens(text);
  const statements: Statement[] = [];
  while (!tokens.isAtEnd) statements.push(parseStatement(tokens));
  return { text, statements };
}

function parseStatement(tokens: NftTokens): Statement {
  for (const kind of ['return', 'accept', 'drop', 'masquerade'] as const) {
    if (tokens.take(kind)) return { kind };
  }
  for (const kind of ['jump', 'goto'] as const) {
    if (tokens.take(kind)) return { kind, chain: tokens.next() };
  }
  if (tokens.take('reject', 'with')) return { kind: 'reject', answer: parseAnswer(tokens) };
  if (tokens.take('meta', 'mark', 'set')) return parseSet(tokens, 'mark');
  if (tokens.take('ct', 'mark', 'set')) return parseSet(tokens, 'ct mark');
  if (tokens.take('ct', 'original', 'zone', 'set')) return parseSet(tokens, 'zone');
  if (tokens.take('ct', 'timeout', 'set'))
    return { kind: 'timeout', name: unquoted(tokens.next()) };
  if (tokens.take('tcp', 'option', 'maxseg', 'size', 'set', 'rt', 'mtu')) return { kind: 'clamp' };
  if (tokens.take('add') || tokens.take('update')) return parseRemember(tokens);
  for (const kind of ['dnat', 'snat'] as const) {
    if (!tokens.take(kind)) continue;
    if (tokens.take('ip') || tokens.take('ip6')) tokens.take('addr', '.', 'port');
    tokens.expect('to');
    return { kind, to: parseExpression(tokens) };
  }
  return parseMatch(tokens);
}

function parseAnswer(tokens: NftTokens): string {
  const answer = `${tokens.next()} ${tokens.next()}`;
  if (
    /^(tcp reset|icmpx? (port|host)-unreachable|icmpv6 (port|addr)-unreachable|icmpx?(v6)? admin-prohibited)$/.test(
      answer,
    )
  ) {
    return answer;
  }
  throw tokens.unknown('the answer');
}

function parseSet(tokens: NftTokens, what: 'mark' | 'ct mark' | 'zone'): Statement {
  return { kind: 'set', what, to: parseExpression(tokens) };
}

/** `add @suspects { ct mark timeout 5s }`, `update @attempts { ip saddr timeout 1s : ct mark }` */
function parseRemember(tokens: NftTokens): Statement {
  const set = tokens.next();
  if (!set.startsWith('@')) throw tokens.unknown('the set');
  tokens.expect('{');
  const key = fieldsOf(tokens);
  if (tokens.take('timeout')) tokens.next();
  if (takeLimit(tokens)) {
    tokens.expect('}');
    return { kind: 'limit', set: set.slice(1), key };
  }
  tokens.take('counter');
  if (tokens.take(':')) fieldsOf(tokens);
  tokens.expect('}');
  return { kind: 'remember', set: set.slice(1), key };
}

/** `ct count over 5`, `limit rate over 5/second burst 5 packets` */
function takeLimit(tokens: NftTokens): boolean {
  if (tokens.take('ct', 'count', 'over')) {
    readNumber(tokens.next());
    return true;
  }
  if (!tokens.take('limit', 'rate', 'over')) return false;
  tokens.next();
  tokens.expect('burst');
  readNumber(tokens.next());
  tokens.expect('packets');
  return true;
}

function fieldsOf(tokens: NftTokens): readonly Field[] {
  const fields = takeFields(tokens);
  if (fields === undefined) throw tokens.unknown('the field');
  return fields;
}

function parseExpression(tokens: NftTokens): Expression {
  if (tokens.take('numgen', 'random')) return parseDraw(tokens);
  if (tokens.take('jhash')) {
    const field = takeField(tokens);
    if (field === undefined) throw tokens.unknown('the field');
    return parseDraw(tokens, field);
  }
  const fields = takeFields(tokens);
  if (fields === undefined) return { kind: 'literal', text: tokens.next() };
  if (!tokens.take('map')) return { kind: 'fields', fields };
  const map = tokens.next();
  if (!map.startsWith('@')) throw tokens.unknown('the map');
  return { kind: 'map', key: fields, map: map.slice(1) };
}

function parseDraw(tokens: NftTokens, field?: Field): Expression {
  tokens.expect('mod');
  const count = readNumber(tokens.next());
  const seed = tokens.take('seed') ? readNumber(tokens.next()) : undefined;
  if ((seed === undefined) !== (field === undefined)) throw tokens.unknown('the seed');
  const first = tokens.take('offset') ? readNumber(tokens.next()) : 0;
  return {
    kind: 'draw',
    count,
    first,
    ...(field === undefined ? {} : { by: { field, seed: seed! } }),
  };
}

function parseMatch(tokens: NftTokens): Statement {
  const fields = takeFields(tokens);
  if (fields === undefined) throw tokens.unknown('the statement');
  if (tokens.take('vmap')) {
    const map = tokens.next();
    if (!map.startsWith('@')) throw tokens.unknown('the map');
    return { kind: 'vmap', key: fields, map: map.slice(1) };
  }
  const mask = tokens.take('&') ? tokens.next() : undefined;
  const isNegated = tokens.take('!=') || tokens.take('!');
  if (!isNegated) tokens.take('==');
  const wanted = parseWanted(tokens);
  return { kind: 'match', fields, isNegated, wanted, ...(mask === undefined ? {} : { mask }) };
}

function parseWanted(tokens: NftTokens): Wanted {
  if (tokens.take('{')) {
    const values: string[] = [];
    while (!tokens.take('}')) values.push(unquoted(tokens.next()));
    return { kind: 'any', values };
  }
  const word = tokens.next('the value');
  if (word.startsWith('@')) return { kind: 'set', set: word.slice(1) };
  return { kind: 'any', values: [unquoted(word)] };
}
