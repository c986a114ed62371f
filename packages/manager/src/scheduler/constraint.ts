import { BlockList, isIP } from 'node:net';
import { ApiError, type Node, type Service } from '@swarm/api';
import { normalArchitecture } from './platform.js';

/** One placement constraint, read from `key == value` or `key != value`. */
export interface Constraint {
  /** As written; compared without regard to case, except for the label's name in it. */
  readonly key: string;
  readonly operator: '==' | '!=';
  readonly value: string;
}

/** Most constraints of one service. */
export const CONSTRAINTS_LIMIT = 100;

const KEY = /^[a-z_][a-z0-9\-_.]+$/i;
const VALUE = /^[a-z0-9:\-_\s.*()?+[\]\\^$|/]+$/i;
const NODE_LABEL = 'node.labels.';
const ENGINE_LABEL = 'engine.labels.';
const KEYS = 'node.id, node.hostname, node.ip, node.role, node.platform.os, node.platform.arch';

/**
 * Reads placement constraints. All must hold. Docker accepts keys that it does not know and then never
 * places the task; here they are refused at once.
 * @throws ApiError INVALID_ARGUMENT that names the constraint and what is wrong with it
 */
export function parseConstraints(expressions: readonly string[]): Constraint[] {
  if (expressions.length > CONSTRAINTS_LIMIT)
    throw new ApiError('INVALID_ARGUMENT', `at most ${CONSTRAINTS_LIMIT} constraints are allowed`);
  return expressions.map(parseConstraint);
}

/** Reads one constraint. @throws ApiError INVALID_ARGUMENT */
export function parseConstraint(expression: string): Constraint {
  const operator = expression.includes('==') ? '==' : '!=';
  const at = expression.indexOf(operator);
  if (at < 0) throw invalid(expression, 'expected one operator from ==, !=');
  const key = expression.slice(0, at).trim();
  const value = expression.slice(at + operator.length).trim();
  if (!KEY.test(key)) throw invalid(expression, `key '${key}' is invalid`);
  if (!VALUE.test(value)) throw invalid(expression, `value '${value}' is invalid`);
  const known = attributeOf(key) !== undefined || key.toLowerCase() === 'node.ip';
  if (!known) {
    throw invalid(
      expression,
      `key '${key}' is not known: use ${KEYS}, ${NODE_LABEL}NAME or ${ENGINE_LABEL}NAME`,
    );
  }
  if (key.toLowerCase() === 'node.ip' && addressBlock(value) === undefined)
    throw invalid(
      expression,
      `value '${value}' is neither an IP address nor a network like 10.0.0.0/8`,
    );
  return { key, operator, value };
}

/** Whether a node satisfies all of them. */
export function matchesConstraints(constraints: readonly Constraint[], node: Node): boolean {
  return constraints.every((constraint) => matches(constraint, node));
}

/** Whether a node satisfies the placement constraints of a service's task template. */
export function nodeMatches(service: Service, node: Node): boolean {
  const expressions = service.Spec.TaskTemplate.Placement?.Constraints;
  if (expressions === undefined || expressions.length === 0) return true;
  return matchesConstraints(storedConstraints(expressions), node);
}

/** Constraints of a stored spec. One that does not parse was stored by a fault: it holds nowhere. */
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

/** How to read the attribute that a key names; a missing one is the empty string. */
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

/** How to read `node.labels.NAME` or `engine.labels.NAME`; undefined for anything else. */
export function labelOf(key: string): ((node: Node) => string) | undefined {
  const folded = key.toLowerCase();
  if (folded.startsWith(NODE_LABEL) && key.length > NODE_LABEL.length) {
    const name = key.slice(NODE_LABEL.length);
    return (node) => own(node.Spec.Labels, name);
  }
  if (folded.startsWith(ENGINE_LABEL) && key.length > ENGINE_LABEL.length) {
    const name = key.slice(ENGINE_LABEL.length);
    return (node) => own(node.Description?.Engine.Labels, name);
  }
  return undefined;
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

/** The addresses that an IP or a CIDR stands for. */
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

function invalid(expression: string, why: string): ApiError {
  return new ApiError('INVALID_ARGUMENT', `constraint '${expression}': ${why}`);
}
