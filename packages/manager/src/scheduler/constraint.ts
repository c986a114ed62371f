import { BlockList, isIP } from 'node:net';
import {
  ApiError,
  labelNameProblem,
  labelValueProblem,
  type Node,
  type Placement,
  type Service,
} from '@swarm/api';
import { normalArchitecture } from './platform.js';

/** A placement constraint, parsed from `key == value` or `key != value`. */
export interface Constraint {
  /** As written. Case-insensitive, except for the name of a label. */
  readonly key: string;
  readonly operator: '==' | '!=';
  readonly value: string;
}

/** Most constraints one service may have. */
export const CONSTRAINTS_LIMIT = 100;

/** The first operator is the one: the value may have others. */
const CONSTRAINT = /^([\s\S]*?)(==|!=)([\s\S]*)$/;
/** Docker's grammar, for everything but labels. */
const VALUE = /^[a-z0-9:\-_\s.*()?+[\]\\^$|/]+$/i;
const NODE_LABEL = 'node.labels.';
const ENGINE_LABEL = 'engine.labels.';
const KEYS = 'node.id, node.hostname, node.ip, node.role, node.platform.os, node.platform.arch';

/**
 * Parses placement constraints, all of which must hold. Refuses unknown keys at once, where Docker accepts
 * them and then never places the task.
 * @throws ApiError INVALID_ARGUMENT that names the constraint and what is wrong with it
 */
export function parseConstraints(expressions: readonly string[]): Constraint[] {
  if (expressions.length > CONSTRAINTS_LIMIT) throw tooMany(expressions);
  return expressions.map(parseConstraint);
}

/**
 * Parses one constraint. Of a label, whatever a node can have can be asked for (packages/api,
 * validate/labels.ts); `node.labels.NAME==` asks for an empty value, which is what nodes without the label have.
 * @throws ApiError INVALID_ARGUMENT
 */
export function parseConstraint(expression: string): Constraint {
  const [, left = '', found, right = ''] = CONSTRAINT.exec(expression) ?? [];
  if (found === undefined) throw invalid(expression, 'expected one operator from ==, !=');
  const key = left.trim();
  const value = right.trim();
  const operator = found as Constraint['operator'];
  const label = labelNameOf(key);
  if (label !== undefined) {
    const name = labelNameProblem(label);
    if (name !== undefined) throw invalid(expression, `label '${label}' is invalid: ${name}`);
    const problem = labelValueProblem(value);
    if (problem !== undefined) throw invalid(expression, `value '${value}' is invalid: ${problem}`);
    return { key, operator, value };
  }
  const known = attributeOf(key) !== undefined || key.toLowerCase() === 'node.ip';
  if (!known) {
    throw invalid(
      expression,
      `key '${key}' is not known: use ${KEYS}, ${NODE_LABEL}NAME or ${ENGINE_LABEL}NAME`,
    );
  }
  if (!VALUE.test(value))
    throw invalid(expression, `value '${value}' is invalid: no node can have it`);
  if (key.toLowerCase() === 'node.ip' && addressBlock(value) === undefined)
    throw invalid(
      expression,
      `value '${value}' is neither an IP address nor a network like 10.0.0.0/8`,
    );
  return { key, operator, value };
}

/** Whether a node satisfies all constraints. */
export function matchesConstraints(constraints: readonly Constraint[], node: Node): boolean {
  return constraints.every((constraint) => matches(constraint, node));
}

/** Whether a node satisfies the placement constraints of a service's task template. */
export function nodeMatches(service: Service, node: Node): boolean {
  const expressions = service.Spec.TaskTemplate.Placement?.Constraints;
  if (expressions === undefined || expressions.length === 0) return true;
  return matchesConstraints(storedConstraints(expressions), node);
}

/** Parses the constraints of a stored spec. One that does not parse was stored by mistake and holds nowhere. */
export function storedConstraints(expressions: readonly string[]): Constraint[] {
  return expressions.map((expression) => {
    try {
      return parseConstraint(expression);
    } catch {
      return { key: '', operator: '==', value: expression };
    }
  });
}

function matches({ key, operator, value }: Constraint, node: Node): boolean {
  const wanted = operator === '==';
  if (key.toLowerCase() === 'node.ip') return addressMatches(value, node.Status.Addr) === wanted;
  const attribute = attributeOf(key);
  if (attribute === undefined) return false;
  const fold = key.toLowerCase() === 'node.platform.arch' ? normalArchitecture : lower;
  return (fold(attribute(node)) === fold(value)) === wanted;
}

/** Returns a reader of the attribute that a key names. It reads a missing attribute as ''. */
function attributeOf(key: string): ((node: Node) => string) | undefined {
  const folded = key.toLowerCase();
  switch (folded) {
    case 'node.id':
      return (node) => node.ID;
    case 'node.hostname':
      return (node) => node.Description?.Hostname ?? '';
    case 'node.role':
      return (node) => node.Role;
    case 'node.platform.os':
      return (node) => node.Description?.Platform.OS ?? '';
    case 'node.platform.arch':
      return (node) => node.Description?.Platform.Architecture ?? '';
  }
  return labelOf(key);
}

/** Returns a reader of `node.labels.NAME` or `engine.labels.NAME`; undefined for any other key. */
export function labelOf(key: string): ((node: Node) => string) | undefined {
  const name = labelNameOf(key);
  if (name === undefined) return undefined;
  return key.toLowerCase().startsWith(NODE_LABEL)
    ? (node) => own(node.Spec.Labels, name)
    : (node) => own(node.Description?.Engine.Labels, name);
}

/** The NAME of `node.labels.NAME` or `engine.labels.NAME`. */
function labelNameOf(key: string): string | undefined {
  const folded = key.toLowerCase();
  const prefix = [NODE_LABEL, ENGINE_LABEL].find((one) => folded.startsWith(one));
  return prefix === undefined || key.length === prefix.length
    ? undefined
    : key.slice(prefix.length);
}

/** Returns a reader of the label of each placement preference, in order: the levels of the tree. */
export function preferenceLabels(
  preferences: Placement['Preferences'],
): ((node: Node) => string)[] {
  return (preferences ?? []).flatMap(({ Spread }) => labelOf(Spread?.SpreadDescriptor ?? '') ?? []);
}

function own(labels: Readonly<Record<string, string>> | undefined, name: string): string {
  return labels !== undefined && Object.hasOwn(labels, name) ? (labels[name] as string) : '';
}

function addressMatches(value: string, address: string): boolean {
  const block = addressBlock(value);
  const family = isIP(address);
  if (block === undefined || family === 0) return false;
  return block.check(address, family === 4 ? 'ipv4' : 'ipv6');
}

/** Parses an IP address or CIDR; undefined for anything else. */
function addressBlock(value: string): BlockList | undefined {
  const [address = '', prefix, ...rest] = value.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return undefined;
  const bits = family === 4 ? 32 : 128;
  if (prefix !== undefined && (!/^\d{1,3}$/.test(prefix) || Number(prefix) > bits))
    return undefined;
  const block = new BlockList();
  block.addSubnet(address, Number(prefix ?? bits), family === 4 ? 'ipv4' : 'ipv6');
  return block;
}

function lower(text: string): string {
  return text.toLowerCase();
}

/** Names the one that is there most often: that is how so many come about. */
function tooMany(expressions: readonly string[]): ApiError {
  const counts = new Map<string, number>();
  for (const one of expressions) counts.set(one, (counts.get(one) ?? 0) + 1);
  const [most = '', times = 0] = [...counts].sort(([, a], [, b]) => b - a)[0] ?? [];
  const repeated = times > 1 ? `; '${most.slice(0, 200)}' is there ${times} times` : '';
  return new ApiError(
    'INVALID_ARGUMENT',
    `TaskTemplate.Placement.Constraints: has ${expressions.length} constraints, at most ${CONSTRAINTS_LIMIT} are allowed${repeated}`,
  );
}

function invalid(expression: string, why: string): ApiError {
  return new ApiError('INVALID_ARGUMENT', `constraint '${expression}': ${why}`);
}
