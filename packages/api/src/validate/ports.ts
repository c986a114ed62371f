import { ApiError } from '../errors.js';
import { type PortKey, publishedKey } from '../network/port-key.js';
import type { EndpointSpec } from '../objects/service.js';

/** Most ports of one service. */
export const PORTS_LIMIT = 1000;

/**
 * Rules of a service's published ports.
 * @throws ApiError INVALID_ARGUMENT
 */
export function checkEndpoint(endpoint: EndpointSpec | undefined): void {
  const ports = endpoint?.Ports ?? [];
  if (ports.length > PORTS_LIMIT) {
    throw new ApiError(
      'INVALID_ARGUMENT',
      `EndpointSpec: at most ${PORTS_LIMIT} ports are allowed`,
    );
  }
  const published = new Set<PortKey>();
  const seen = new Set<string>();
  for (const port of ports) {
    if (port.TargetPort < 1) {
      throw new ApiError(
        'INVALID_ARGUMENT',
        'EndpointSpec: a port needs a TargetPort between 1 and 65535',
      );
    }
    if (port.PublishMode === 'ingress' && endpoint?.Mode === 'dnsrr') {
      throw new ApiError(
        'INVALID_ARGUMENT',
        "EndpointSpec: port published with ingress mode can't be used with dnsrr mode; " +
          'publish it in host mode, or use endpoint mode vip',
      );
    }
    const whole = `${port.Protocol} ${port.TargetPort} ${port.PublishedPort ?? 0} ${port.PublishMode}`;
    if (seen.has(whole)) {
      throw new ApiError('INVALID_ARGUMENT', 'EndpointSpec: duplicate ports provided');
    }
    seen.add(whole);
    if (port.PublishedPort === undefined || port.PublishedPort === 0) continue;
    // A service can publish a port of a protocol only once, in either mode.
    const key = publishedKey(port);
    if (published.has(key)) {
      throw new ApiError(
        'INVALID_ARGUMENT',
        `EndpointSpec: duplicate published ports provided: ${port.PublishedPort}/${port.Protocol} is there twice`,
      );
    }
    published.add(key);
  }
}
