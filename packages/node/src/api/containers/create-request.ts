import { ApiError, isPort, type PortConfig, type PortProtocol } from '@swarm/api';
import type { ContainerWish } from '@swarm/worker';

type Fields = Readonly<Record<string, unknown>>;

/** Words of `HostConfig.NetworkMode` that name no network of a user. */
const OWN_MODES: readonly string[] = ['', 'default', 'bridge', 'host', 'none', 'nat'];

/** What Docker chooses from when a published port is left open. */
const OPEN_PORT_FIRST = 49_152;
const OPEN_PORT_COUNT = 65_536 - OPEN_PORT_FIRST;

/** A network that a request names, with the container's further names on it. */
export interface NamedNetwork {
  readonly name: string;
  readonly aliases: readonly string[];
}

/** The networks of users that a body of `POST /containers/create` names, each once, in the order of its links. */
export function namedNetworks(body: Fields): readonly NamedNetwork[] {
  const mode = textOf(fieldsOf(body.HostConfig).NetworkMode);
  const endpoints = fieldsOf(fieldsOf(body.NetworkingConfig).EndpointsConfig);
  const isUsers = !OWN_MODES.includes(mode) && !mode.startsWith('container:');
  const names = new Set([...(isUsers ? [mode] : []), ...Object.keys(endpoints)]);
  return [...names]
    .filter((name) => !OWN_MODES.includes(name))
    .map((name) => ({ name, aliases: endpointAliases(name, fieldsOf(endpoints[name])) }));
}

/** @throws ApiError UNIMPLEMENTED for what such a network does not give */
export function endpointAliases(name: string, endpoint: Fields): readonly string[] {
  const { IPv4Address, IPv6Address, LinkLocalIPs } = fieldsOf(endpoint.IPAMConfig);
  const refused = {
    'IPAMConfig.IPv4Address': IPv4Address,
    'IPAMConfig.IPv6Address': IPv6Address,
    'IPAMConfig.LinkLocalIPs': LinkLocalIPs,
    Links: endpoint.Links,
    MacAddress: endpoint.MacAddress,
    DriverOpts: endpoint.DriverOpts,
  };
  for (const [field, value] of Object.entries(refused)) {
    if (isGiven(value))
      throw refusal(
        `EndpointsConfig.${name}.${field}`,
        'the managers choose addresses; leave it out',
      );
  }
  return textsOf(endpoint.Aliases);
}

/**
 * Splits a body of `POST /containers/create`: what belongs to the network namespace goes to the sandbox.
 * @param random 0 ≤ x < 1
 * @returns the wish without its networks, and the body for the engine without its network mode
 * @throws ApiError UNIMPLEMENTED for what cannot be had in another container's namespace
 */
export function splitCreate(
  body: Fields,
  random: () => number,
): { readonly wish: Omit<ContainerWish, 'networks'>; readonly rest: Fields } {
  const {
    Hostname,
    Domainname,
    ExposedPorts: _exposed,
    MacAddress,
    NetworkingConfig: _n,
    ...config
  } = body;
  const host = fieldsOf(body.HostConfig);
  const {
    PortBindings,
    PublishAllPorts,
    Links,
    Dns,
    DnsSearch,
    DnsOptions,
    ExtraHosts,
    ...others
  } = host;
  if (isGiven(MacAddress))
    throw refusal('MacAddress', 'links to networks of the cluster have their own; leave it out');
  if (isGiven(Links)) throw refusal('HostConfig.Links', 'containers find each other by name');
  if (PublishAllPorts === true)
    throw refusal('HostConfig.PublishAllPorts', 'publish each port, as in --publish 8080:80');
  const sysctls = Object.entries(fieldsOf(host.Sysctls)).map(
    ([name, value]) => [name, String(value)] as const,
  );
  const isNet = (name: string) => /^net[./]/.test(name);
  const hostname = textOf(Hostname);
  const domain = textOf(Domainname);
  return {
    wish: {
      ...(hostname !== '' && { hostname }),
      ...(domain !== '' && { domain }),
      hosts: textsOf(ExtraHosts),
      dns: { Dns: textsOf(Dns), DnsSearch: textsOf(DnsSearch), DnsOptions: textsOf(DnsOptions) },
      sysctls: Object.fromEntries(sysctls.filter(([name]) => isNet(name))),
      ports: Object.entries(fieldsOf(PortBindings)).flatMap(([target, bindings]) =>
        published(target, Array.isArray(bindings) ? bindings : [], random),
      ),
    },
    rest: {
      ...config,
      HostConfig: {
        ...others,
        Sysctls: Object.fromEntries(sysctls.filter(([name]) => !isNet(name))),
      },
    },
  };
}

/** `80/tcp` and its places on the host. */
function published(
  target: string,
  bindings: readonly unknown[],
  random: () => number,
): PortConfig[] {
  const [, number = '', protocol = 'tcp'] = /^(\d{1,5})(?:\/(tcp|udp|sctp))?$/.exec(target) ?? [];
  const field = `HostConfig.PortBindings["${target}"]`;
  const TargetPort = Number(number);
  if (!isPort(TargetPort)) throw new ApiError('INVALID_ARGUMENT', `${field}: not a port`);
  const given = bindings.length === 0 ? [{}] : bindings;
  return given.map((binding): PortConfig => {
    const { HostIp, HostPort } = fieldsOf(binding);
    if (!['', '0.0.0.0', '::'].includes(textOf(HostIp)))
      throw refusal(
        `${field}.HostIp`,
        'ports are published at all addresses of the node; leave it out',
      );
    const wanted = textOf(HostPort);
    const PublishedPort =
      wanted === '' || wanted === '0'
        ? OPEN_PORT_FIRST + Math.floor(random() * OPEN_PORT_COUNT)
        : Number(wanted);
    if (!isPort(PublishedPort))
      throw refusal(`${field}.HostPort`, 'give one port, or none to have one chosen');
    return {
      Protocol: protocol as PortProtocol,
      TargetPort,
      PublishedPort,
      PublishMode: 'host',
    };
  });
}

function refusal(field: string, what: string): ApiError {
  return new ApiError(
    'UNIMPLEMENTED',
    `${field}: not available to a container on a network of the cluster: ${what}`,
  );
}

export function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Fields)
    : {};
}

export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

/** Whether a field asks for something: Go's zero values do not. */
function isGiven(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0;
  return value !== undefined && value !== null && value !== '' && value !== false && value !== 0;
}
