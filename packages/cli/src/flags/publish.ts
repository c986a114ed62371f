import type { PortConfig, PortProtocol } from '@swarm/api';
import { UsageError } from '../command.js';
import { parseFields } from './values.js';

/** Which ports a value names. What it leaves open is undefined. */
export interface PortRule {
  readonly protocol: PortProtocol;
  readonly target?: number;
  readonly published?: number;
  readonly mode?: 'ingress' | 'host';
}

/**
 * Parses one `--publish` value: `[PUBLISHED:]TARGET[/tcp|udp|sctp]` with ranges, or
 * `published=,target=,protocol=,mode=ingress|host`.
 */
export function parsePublish(text: string): PortConfig[] {
  return parsePortRules(text).map(({ protocol, target, published, mode = 'ingress' }) => {
    if (target === undefined) throw bad(text, "field 'target' is missing");
    return {
      Protocol: protocol,
      TargetPort: target,
      ...(published === undefined ? {} : { PublishedPort: published }),
      PublishMode: mode,
    };
  });
}

/** Parses a value as {@link parsePublish} does, for `--publish-rm`, where the target may be left out. */
export function parsePortRules(text: string): PortRule[] {
  return text.includes('=') ? [parseLong(text)] : parseShort(text);
}

function parseLong(text: string): PortRule {
  const rule: { -readonly [K in keyof PortRule]: PortRule[K] } = { protocol: 'tcp' };
  for (const [key, value] of parseFields('publish', text)) {
    if (value === undefined) throw bad(text, `field '${key}' has no value`);
    if (key === 'target') rule.target = port(text, value);
    else if (key === 'published') rule.published = port(text, value);
    else if (key === 'protocol') rule.protocol = protocolOf(text, value);
    else if (key === 'mode') {
      if (value !== 'ingress' && value !== 'host')
        throw bad(text, `mode must be ingress or host, not '${value}'`);
      rule.mode = value;
    } else throw bad(text, `unknown field '${key}': use target, published, protocol and mode`);
  }
  if (rule.target === undefined && rule.published === undefined)
    throw bad(text, "field 'target' is missing");
  return rule;
}

function parseShort(text: string): PortRule[] {
  const [ports, suffix, ...rest] = text.split('/');
  if (ports === undefined || rest.length > 0) throw bad(text, 'too many slashes');
  const protocol = suffix === undefined ? 'tcp' : protocolOf(text, suffix);
  const parts = ports.split(':');
  if (parts.length > 2)
    throw bad(text, 'hostip is not supported; a port is published on every address of every node');
  const targets = range(text, parts.at(-1)!);
  if (parts.length === 1 || parts[0] === '') return targets.map((target) => ({ protocol, target }));
  const published = range(text, parts[0]!);
  if (published.length !== targets.length)
    throw bad(text, 'the ranges of published and target ports have different lengths');
  return targets.map((target, i) => ({ protocol, target, published: published[i]! }));
}

function range(text: string, part: string): number[] {
  const [first, last, ...rest] = part.split('-');
  if (rest.length > 0) throw bad(text, `bad range '${part}'`);
  const from = port(text, first!);
  const to = last === undefined ? from : port(text, last);
  if (to < from) throw bad(text, `bad range '${part}'`);
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

function port(text: string, value: string): number {
  const number = Number(value);
  if (!/^\d+$/.test(value) || number < 1 || number > 65535)
    throw bad(text, `invalid port '${value}': use 1 to 65535`);
  return number;
}

function protocolOf(text: string, value: string): PortProtocol {
  if (value === 'tcp' || value === 'udp' || value === 'sctp') return value;
  throw bad(text, `protocol must be tcp, udp or sctp, not '${value}'`);
}

function bad(text: string, why: string): UsageError {
  return new UsageError(`invalid argument '${text}' for --publish: ${why}`);
}
