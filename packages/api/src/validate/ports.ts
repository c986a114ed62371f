import { ApiError } from '../errors.js';
import { type PortKey, publishedKey } from '../network/port-key.js';
import { checkAllow } from './allow.js';
import type { EndpointSpec, PortConfig } from '../objects/service.js';
import { isHostAddress, isLoopback, parseIpAddress } from '../values/address.js';

/** Most ports of one service. */
export const PORTS_LIMIT = 1000;

/**
 * Rules of a service's published ports.
 * @throws ApiError INVALID_ARGUMENT
 */
export function checkEndpoint(endpoint: EndpointSpec | undefined): void {
  checkAllow(endpoint?.Allow);
  const ports = endpoint?.Ports ?? [];
  if (ports.length > PORTS_LIMIT) {
    throw new ApiError(
      'INVALID_ARGUMENT',
      `EndpointSpec.Ports: has ${ports.length} ports, at most ${PORTS_LIMIT} are allowed`,
    );
  }
  const published = new Map<PortKey, PortConfig>();
  const seen = new Set<string>();
  for (const port of ports) {
    if (port.TargetPort < 1) {
      throw new ApiError(
        'INVALID_ARGUMENT',
        'EndpointSpec: a port needs a TargetPort between 1 and 65535',
      );
    }
    if (port.HostIP !== undefined && !isBindable(port.HostIP)) {
      throw new ApiError(
        'INVALID_ARGUMENT',
        `EndpointSpec: HostIP "${port.HostIP}" of port ${shownPort(port)} is not an address of a host; ` +
          'give an IPv4 or IPv6 address without a zone, or 0.0.0.0 or :: for all of a family',
      );
    }
    checkLimits(port);
    if (port.ProxyProtocol !== undefined) checkProxyProtocol(port, endpoint);
    if (port.PublishMode === 'ingress' && endpoint?.Mode === 'dnsrr') {
      throw new ApiError(
        'INVALID_ARGUMENT',
        "EndpointSpec: port published with ingress mode can't be used with dnsrr mode; " +
          'publish it in host mode, or use endpoint mode vip',
      );
    }
    const whole = `${port.Protocol} ${port.TargetPort} ${port.PublishedPort ?? 0} ${port.PublishMode}`;
    if (seen.has(whole)) {
      throw new ApiError(
        'INVALID_ARGUMENT',
        `EndpointSpec: duplicate ports provided: ${shownPort(port)} is there twice; give it once`,
      );
    }
    seen.add(whole);
    if (port.PublishedPort === undefined || port.PublishedPort === 0) continue;
    // A service can publish a port of a protocol only once, in either mode.
    const key = publishedKey(port);
    const other = published.get(key);
    if (other !== undefined) {
      throw new ApiError(
        'INVALID_ARGUMENT',
        `EndpointSpec: duplicate published ports provided: ${shownPort(other)} and ${shownPort(port)} ` +
          `both publish ${port.PublishedPort}/${port.Protocol}; keep one of them`,
      );
    }
    published.set(key, port);
  }
}

function checkLimits(port: PortConfig): void {
  const { ClientLimits } = port;
  if (ClientLimits === undefined) return;
  if (port.PublishMode === 'host') {
    throw new ApiError(
      'INVALID_ARGUMENT',
      `EndpointSpec: port ${shownPort(port)} has ClientLimits, which only ports in ingress mode have; ` +
        'publish it in ingress mode, or leave them out',
    );
  }
  if (ClientLimits.Burst !== undefined && ClientLimits.Rate === undefined) {
    throw new ApiError(
      'INVALID_ARGUMENT',
      `EndpointSpec: ClientLimits of port ${shownPort(port)} have a Burst but no Rate; give both, or neither`,
    );
  }
}

function checkProxyProtocol(port: PortConfig, endpoint: EndpointSpec = {}): void {
  const refuse = (why: string): never => {
    throw new ApiError(
      'INVALID_ARGUMENT',
      `EndpointSpec: port ${shownPort(port)} has a ProxyProtocol, ${why}`,
    );
  };
  if (port.Protocol !== 'tcp')
    refuse(
      `which only TCP has here; leave it out, as nodes with nftables keep the client's address of ${port.Protocol} anyway`,
    );
  if (port.PublishMode === 'host') refuse('which only ports in ingress mode have; leave it out');
  if (endpoint.Affinity !== undefined)
    refuse(
      'so tasks are reached from nodes, not clients, and Affinity cannot be kept; leave one of the two out',
    );
  if (endpoint.Allow !== undefined)
    refuse(
      'so tasks are reached from nodes, not clients, and Allow cannot admit clients; leave one of the two out',
    );
}

function isBindable(text: string): boolean {
  const address = parseIpAddress(text);
  if (address === undefined) return false;
  return isHostAddress(address) || isLoopback(address) || text === '0.0.0.0' || text === '::';
}

/** A mapping as `--publish` has it: `8080:80/tcp`. */
function shownPort({ PublishedPort = 0, TargetPort, Protocol, PublishMode }: PortConfig): string {
  const mapping = PublishedPort === 0 ? `${TargetPort}` : `${PublishedPort}:${TargetPort}`;
  return `${mapping}/${Protocol}${PublishMode === 'host' ? ' (host)' : ''}`;
}
