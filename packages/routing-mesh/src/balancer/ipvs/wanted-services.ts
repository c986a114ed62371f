import type { IpAddress } from '@swarm/api';
import type { Destination, MarkedService } from '../../netlink/ipvs.js';
import type { ModelEndpoint, ModelPort } from '../nftables/model.js';
import { portMark } from './marks.js';
import { placeKey, type WantedService } from './service-plan.js';

/** What tells services apart: the kernel has one of each family for a mark. */
export type ServiceKey = `${4 | 6} ${number}`;

export function serviceKey({ version, mark }: MarkedService): ServiceKey {
  return `${version} ${mark}`;
}

/** The service that a key names. */
export function keyedService(key: ServiceKey): MarkedService {
  const [version, mark] = key.split(' ').map(Number);
  return { version: version === 4 ? 4 : 6, mark: mark! };
}

/** The services of a published port by key: one of each family that has endpoints. */
export function wantedServices(
  port: ModelPort,
  hasIpv6: boolean,
): ReadonlyMap<ServiceKey, WantedService> {
  const wanted = new Map<ServiceKey, WantedService>();
  const { protocol, publishedPort, endpoints, source } = port;
  const mark = portMark(protocol, publishedPort);
  const scheduler = source.options.hasAffinity ? 'mh' : 'wrr';
  const add = (version: 4 | 6, destinations: ReadonlyMap<string, Destination>): void => {
    if (destinations.size > 0)
      wanted.set(serviceKey({ version, mark }), { scheduler, destinations });
  };
  add(
    4,
    destinationsOf(endpoints, ({ address }) => address),
  );
  if (hasIpv6)
    add(
      6,
      destinationsOf(endpoints, ({ addressV6 }) => addressV6),
    );
  return wanted;
}

/** The same endpoints in the same order on every node, as a Maglev table depends on it a little. */
function destinationsOf(
  endpoints: readonly ModelEndpoint[],
  addressOf: (endpoint: ModelEndpoint) => IpAddress | undefined,
): ReadonlyMap<string, Destination> {
  const reached = endpoints
    .flatMap((endpoint) => {
      const address = addressOf(endpoint);
      return address === undefined ? [] : [{ ...endpoint, address }];
    })
    .sort((a, b) => (a.taskId < b.taskId ? -1 : 1));
  const isAnyHeavy = reached.some(({ weight }) => weight > 0);
  const destinations = new Map<string, Destination>();
  for (const { address, port, ...endpoint } of reached) {
    // Those of weight 0 get no connections, unless all have it.
    const weight = isAnyHeavy ? endpoint.weight : 1;
    destinations.set(placeKey({ address, port }), { address, port, weight });
  }
  return destinations;
}
