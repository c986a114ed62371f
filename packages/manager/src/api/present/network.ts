import { type Network, type PredefinedNetwork, Subnet } from '@swarm/api';

/** A network in the shape of Docker's `/networks`, which differs from the stored shape. */
/** A network in Docker's JSON. */
export interface ShownNetwork {
  readonly Id: string;
  readonly [field: string]: unknown;
}

export function presentNetwork(network: Network): ShownNetwork {
  const { Spec: spec } = network;
  return {
    Name: spec.Name,
    Id: network.ID,
    Created: network.CreatedAt,
    Scope: 'swarm',
    Driver: spec.Driver,
    EnableIPv4: true,
    EnableIPv6: spec.IPv6Enabled,
    IPAM: {
      Driver: spec.IPAM?.Driver ?? 'default',
      Options: null,
      Config: network.Subnets.map(({ Subnet: subnet, Gateway }) => {
        const IPRange = rangeIn(network, subnet);
        return { Subnet: subnet, ...(IPRange !== undefined && { IPRange }), Gateway };
      }),
    },
    Internal: spec.Internal,
    Attachable: spec.Attachable,
    Ingress: spec.Ingress,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: null,
    Options: {
      'com.docker.network.driver.overlay.vxlanid_list': String(network.VNI),
      ...spec.DriverOpts,
    },
    Labels: spec.Labels,
  };
}

/** The range of the subnet that addresses are given from, where the user chose one. */
function rangeIn({ Spec }: Network, subnet: string): string | undefined {
  const whole = Subnet.parse(subnet);
  const config = Spec.IPAM?.Config.find(
    (each) => whole !== undefined && Subnet.parse(each.Subnet)?.overlaps(whole) === true,
  );
  return config?.IPRange;
}

const DRIVERS: Readonly<Record<PredefinedNetwork, string>> = {
  host: 'host',
  none: 'null',
  bridge: 'bridge',
};

/** A network that every host has, as services are attached to it. */
export function presentPredefined(name: PredefinedNetwork): object {
  return {
    Name: name,
    Id: name,
    Created: '0001-01-01T00:00:00Z',
    Scope: 'swarm',
    Driver: DRIVERS[name],
    EnableIPv4: true,
    EnableIPv6: false,
    IPAM: { Driver: 'default', Options: null, Config: [] },
    Internal: false,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: null,
    Options: {},
    // As in Docker.
    Labels: { 'com.docker.swarm.predefined': 'true' },
  };
}
