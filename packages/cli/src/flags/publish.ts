import type { ClientLimits, PortConfig, PortProtocol, ProxyProtocol } from '@swarm/api';
import { parseIpAddress } from '@swarm/api/client';
import { UsageError } from '../command.js';
import { parseFields } from './values.js';

/** Which ports a value names. What it leaves open is undefined. */
export interface PortRule {
  readonly protocol: PortProtocol;
  readonly target?: number;
  readonly published?: number;
  readonly mode?: 'ingress' | 'host';
  readonly hostIp?: string;
  readonly limits?: ClientLimits;
  readonly proxyProtocol?: ProxyProtocol;
}

/**
 * Parses one `--publish` value: `[[HOST-IP:]PUBLISHED:]TARGET[/tcp|udp|sctp]` with ranges, or
 * `published=,target=,protocol=,mode=ingress|host,host_ip=,connections=,rate=,burst=,
 * proxy-protocol=v1|v2`. An IPv6 address before a port stands in brackets.
 */
export function parsePublish(text: string): PortConfig[] {
  return parsePortRules(text).map((rule) => {
    const { protocol, target, published, mode = 'ingress', hostIp, limits, proxyProtocol } = rule;
    if (target === undefined) throw bad(text, "field 'target' is missing");
    return {
      Protocol: protocol,
      TargetPort: target,
      ...(published === undefined ? {} : { PublishedPort: published }),
      PublishMode: mode,
      ...(hostIp === undefined ? {} : { HostIP: hostIp }),
      ...(limits === undefined ? {} : { ClientLimits: limits }),
      ...(proxyProtocol === undefined ? {} : { ProxyProtocol: proxyProtocol }),
    };
  });
}

/** Parses a value as {@link parsePublish} does, for `--publish-rm`, where the target may be left out. */
export function parsePortRules(text: string): PortRule[] {
  return text.includes('=') ? [parseLong(text)] : parseShort(text);
}

function parseLong(text: string): PortRule {
  const rule: { -readonly [K in keyof PortRule]: PortRule[K] } = { protocol: 'tcp' };
  const limits: { -readonly [K in keyof ClientLimits]: ClientLimits[K] } = {};
  for (const [key, value] of parseFields('publish', text)) {
    if (value === undefined) throw bad(text, `field '${key}' has no value`);
    if (key === 'target') rule.target = port(text, value);
    else if (key === 'published') rule.published = port(text, value);
    else if (key === 'protocol') rule.protocol = protocolOf(text, value);
    else if (key === 'mode') {
      if (value !== 'ingress' && value !== 'host')
        throw bad(text, `mode must be ingress or host, not '${value}'`);
      rule.mode = value;
    } else if (key === 'host_ip') rule.hostIp = address(text, value);
    else if (key === 'connections') limits.Connections = count(text, key, value);
    else if (key === 'proxy-protocol') {
      if (value !== 'v1' && value !== 'v2')
        throw bad(text, `proxy-protocol must be v1 or v2, not '${value}'`);
      rule.proxyProtocol = value;
    } else if (key === 'rate') Object.assign(limits, rateOf(text, value));
    else if (key === 'burst') limits.Burst = count(text, key, value);
    else
      throw bad(
        text,
        `unknown field '${key}': use target, published, protocol, mode, host_ip, connections, rate, burst and proxy-protocol`,
      );
  }
  if (Object.keys(limits).length > 0) rule.limits = limits;
  if (rule.target === undefined && rule.published === undefined)
    throw bad(text, "field 'target' is missing");
  return rule;
}

function count(text: string, key: string, value: string): number {
  if (!/^[1-9]\d{0,8}$/.test(value))
    throw bad(text, `${key} must be a whole number from 1, not '${value}'`);
  return Number(value);
}

/** `100/second`; `100` means the same. */
function rateOf(text: string, value: string): ClientLimits {
  const [number = '', period = 'second', ...rest] = value.split('/');
  const isPeriod = period === 'second' || period === 'minute' || period === 'hour';
  if (rest.length > 0 || !isPeriod)
    throw bad(
      text,
      `rate must be a number by second, minute or hour like 100/second, not '${value}'`,
    );
  return { Rate: count(text, 'rate', number), ...(period === 'second' ? {} : { Per: period }) };
}

function parseShort(text: string): PortRule[] {
  const [ports, suffix, ...rest] = text.split('/');
  if (ports === undefined || rest.length > 0) throw bad(text, 'too many slashes');
  const protocol = suffix === undefined ? 'tcp' : protocolOf(text, suffix);
  const { hostIp, parts } = hostAndPorts(text, ports);
  const at = hostIp === undefined ? {} : { hostIp };
  const targets = range(text, parts.at(-1)!);
  if (parts.length === 1 || parts[0] === '')
    return targets.map((target) => ({ protocol, target, ...at }));
  const published = range(text, parts[0]!);
  if (published.length !== targets.length)
    throw bad(text, 'the ranges of published and target ports have different lengths');
  return targets.map((target, i) => ({ protocol, target, published: published[i]!, ...at }));
}

/** `192.0.2.1:80:80`, `[2001:db8::1]:80:80`, `80:80` or `80`, as `docker run` takes them. */
function hostAndPorts(
  text: string,
  value: string,
): { readonly hostIp?: string; readonly parts: readonly string[] } {
  const [, host, rest] =
    /^\[([^\]]*)\]:(.*)$/.exec(value) ?? /^([^:]*\.[^:]*):(.*)$/.exec(value) ?? [];
  const parts = (rest ?? value).split(':');
  if (parts.length > 2)
    throw bad(text, 'use [HOST-IP:]PUBLISHED:TARGET, an IPv6 address in brackets');
  if (host === undefined) return { parts };
  if (parts.length < 2)
    throw bad(text, 'an address needs a published and a target port: HOST-IP:PUBLISHED:TARGET');
  return { hostIp: address(text, host), parts };
}

function address(text: string, value: string): string {
  const bare = value.startsWith('[') && value.endsWith(']') ? value.slice(1, -1) : value;
  const found = parseIpAddress(bare);
  if (found === undefined) throw bad(text, `'${value}' is not an IP address`);
  return found;
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
