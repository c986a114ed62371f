import { isIpv6, type IpAddress, parseCidr, Subnet } from '@swarm/api';
import type { PlacedContainers } from '@swarm/http';
import { type AttachableContainers, type ContainerRecord, hostnameOf } from '@swarm/worker';
import { fieldsOf, textOf } from './create-request.js';

/** The containers as they would look if the engine had their networks. */
export function placedContainers(containers: AttachableContainers): PlacedContainers {
  return {
    show(container) {
      const fields = fieldsOf(container);
      const record = containers.get(textOf(fields.Id));
      return record === undefined ? container : shown(fields, record);
    },
    on: (networkId) =>
      Object.fromEntries(
        containers.list().flatMap((record) => {
          const own = placesOf(record).find(({ id }) => id === networkId);
          if (own === undefined || record.place === undefined) return [];
          const { v4, v6 } = own;
          return [
            [
              record.containerId,
              {
                Name: record.place.Task.Name,
                EndpointID: record.place.Task.ID,
                MacAddress: '',
                IPv4Address: v4 === undefined ? '' : `${v4.address}/${v4.length}`,
                IPv6Address: v6 === undefined ? '' : `${v6.address}/${v6.length}`,
              },
            ],
          ];
        }),
      ),
  };
}

/** An address with the prefix length of its network. */
interface Placed {
  readonly address: IpAddress;
  readonly length: number;
}

interface Place {
  readonly id: string;
  readonly name: string;
  readonly aliases: readonly string[];
  readonly v4: Placed | undefined;
  readonly v6: Placed | undefined;
}

/** Without addresses while the container does not run. */
function placesOf({ wish, place }: ContainerRecord): readonly Place[] {
  return wish.networks.map(({ id, name, aliases }) => {
    const attached = place?.Task.NetworksAttachments?.find(({ Network }) => Network.ID === id);
    const network = place?.Networks.find(({ ID }) => ID === id);
    const all = (attached?.Addresses ?? []).flatMap((text) => parseCidr(text)?.address ?? []);
    const of = (address: IpAddress | undefined): Placed | undefined => {
      if (address === undefined) return undefined;
      const subnets = (network?.Subnets ?? []).flatMap((one) => Subnet.parse(one.Subnet) ?? []);
      const subnet = subnets.find((one) => one.offsetOf(address) !== undefined);
      return { address, length: subnet?.prefixLength ?? (isIpv6(address) ? 128 : 32) };
    };
    return {
      ...{ id, aliases, name: network?.Spec.Name ?? name },
      v4: of(all.find((address) => !isIpv6(address))),
      v6: of(all.find(isIpv6)),
    };
  });
}

/** Both of the engine's forms: of a list, and of one container. */
function shown(container: Readonly<Record<string, unknown>>, record: ContainerRecord): object {
  const places = placesOf(record);
  const { ports } = record.wish;
  const settings = fieldsOf(container.NetworkSettings);
  const isRunning = record.place !== undefined;
  const bindings = Object.fromEntries(
    ports.map(({ TargetPort, Protocol }) => [
      `${TargetPort}/${Protocol}`,
      ports
        .filter((one) => one.TargetPort === TargetPort && one.Protocol === Protocol)
        .map(({ PublishedPort }) => ({ HostIp: '', HostPort: String(PublishedPort) })),
    ]),
  );
  const Networks = Object.fromEntries(
    places.map((place) => [place.name, endpointOf(place, record)]),
  );
  const isListed = !('Config' in container);
  const NetworkMode = places[0]?.name ?? 'none';
  if (isListed) {
    return {
      ...container,
      HostConfig: { ...fieldsOf(container.HostConfig), NetworkMode },
      NetworkSettings: { Networks },
      Ports: !isRunning
        ? container.Ports
        : ports.map(({ TargetPort, PublishedPort, Protocol }) => ({
            IP: '0.0.0.0',
            PrivatePort: TargetPort,
            PublicPort: PublishedPort,
            Type: Protocol,
          })),
    };
  }
  const config = fieldsOf(container.Config);
  return {
    ...container,
    Config: {
      ...config,
      Hostname: hostnameOf(record.wish, record.containerId ?? ''),
      ...(record.wish.domain !== undefined && { Domainname: record.wish.domain }),
    },
    HostConfig: {
      ...fieldsOf(container.HostConfig),
      NetworkMode,
      PortBindings: bindings,
      ...record.wish.dns,
      ExtraHosts: record.wish.hosts.length > 0 ? record.wish.hosts : null,
    },
    NetworkSettings: { ...settings, Networks, Ports: isRunning ? bindings : {} },
  };
}

/** Every task's gateway, whatever its networks: see packages/routing-mesh. */
const GATEWAY = '169.254.1.1';

function endpointOf({ id, aliases, v4, v6 }: Place, { place, containerId = '' }: ContainerRecord) {
  const short = containerId.slice(0, 12);
  return {
    IPAMConfig: null,
    Links: null,
    Aliases: [...aliases, short],
    NetworkID: id,
    EndpointID: place?.Task.ID ?? '',
    Gateway: v4 === undefined ? '' : GATEWAY,
    IPAddress: v4?.address ?? '',
    IPPrefixLen: v4?.length ?? 0,
    IPv6Gateway: v6 === undefined ? '' : 'fe80::1',
    GlobalIPv6Address: v6?.address ?? '',
    GlobalIPv6PrefixLen: v6?.length ?? 0,
    MacAddress: '',
    DriverOpts: null,
    DNSNames: place === undefined ? null : [place.Task.Name, ...aliases, short],
  };
}
