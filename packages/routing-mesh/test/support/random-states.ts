import type { MeshClientLimits, MeshPort, MeshState, PortProtocol } from '@swarm/api';
import fc from 'fast-check';
import type { OverlayNetwork, TaskAttachment } from '../../src/index.js';
import { rawPeer } from './checked.js';

/** Nodes of the random worlds; the first is where the packets come in. */
export const NODES = [1, 2, 3, 4] as const;
export const PORTS = [8080, 8081, 8082] as const;

const endpoint = (index: number, task: number) => ({
  taskId: `t${index}x${task}`,
  nodeId: `node${index}`,
  address: `10.240.${index}.${2 + task}`,
  port: 80 + (task % 2),
});

const port = (protocol: PortProtocol, publishedPort: number): fc.Arbitrary<MeshPort> =>
  fc
    .record({
      nodes: fc.uniqueArray(
        fc.record({ index: fc.constantFrom(...NODES), task: fc.nat({ max: 12 }) }),
        { maxLength: 34, selector: ({ index, task }) => `${index} ${task}` },
      ),
      isProxied: fc.boolean(),
      limits: fc.constantFrom<MeshClientLimits | undefined>(
        undefined,
        { connections: 5 },
        { connections: 5, rate: 100, burst: 7 },
        { rate: 10, per: 'minute' },
      ),
    })
    .map(({ nodes, limits, isProxied }) => ({
      ...(isProxied && protocol === 'tcp' ? { proxyProtocol: 'v2' as const } : {}),
      ...(limits === undefined ? {} : { limits }),
      protocol,
      publishedPort,
      serviceId: `s${publishedPort}`,
      endpoints: nodes.map(({ index, task }) => endpoint(index, task)),
    }));

/** A state of its own; the generation is the caller's. */
export const randomState: fc.Arbitrary<Omit<MeshState, 'generation'>> = fc
  .record({
    peers: fc.subarray([...NODES].slice(1)),
    ports: fc
      .subarray(
        (['tcp', 'udp'] as const).flatMap((protocol) =>
          PORTS.map((each) => [protocol, each] as const),
        ),
      )
      .chain((chosen) => fc.tuple(...chosen.map(([protocol, each]) => port(protocol, each)))),
  })
  .map(({ peers, ports }) => ({ peers: [rawPeer(1), ...peers.map(rawPeer)], ports }));

/** A network, as tasks are attached to it. */
const network = (number: number, isInternal: boolean): OverlayNetwork => ({
  networkId: `net${number}`,
  name: `network-${number}`,
  subnets: [`10.0.${number}.0/24`],
  isInternal,
  isEncrypted: false,
});

/** Where a task of the random worlds is, and on which network: `10.0.N.NUMBER`. */
const MEMBERS = [
  { number: 10, node: 1, networks: [1] },
  { number: 10, node: 1, networks: [2] },
  { number: 12, node: 2, networks: [1] },
  { number: 13, node: 3, networks: [2] },
  { number: 14, node: 2, networks: [1, 2] },
] as const;

/** A state with overlay networks and services on them, and the tasks of node 1. */
export interface RandomWorld {
  readonly state: Omit<MeshState, 'generation'>;
  readonly attachments: readonly TaskAttachment[];
}

interface WorldParts {
  readonly state: Omit<MeshState, 'generation'>;
  readonly members: readonly (typeof MEMBERS)[number][];
  /** Places in `MEMBERS`. */
  readonly serving: readonly number[];
  /** Numbers of networks. */
  readonly internal: readonly number[];
}

export const randomWorld: fc.Arbitrary<RandomWorld> = fc
  .record({
    state: randomState,
    members: fc.subarray([...MEMBERS]),
    serving: fc.subarray(MEMBERS.map((_, i) => i)),
    internal: fc.subarray([1, 2]),
  })
  .map(worldOf);

/** A world in which everything is: ports with and without endpoints, services, tasks of every kind. */
export const fullWorld: RandomWorld = worldOf({
  state: {
    peers: NODES.map(rawPeer),
    ports: [
      {
        ...{ protocol: 'tcp', publishedPort: 8080, serviceId: 's' },
        limits: { connections: 5, rate: 100 },
        endpoints: [endpoint(1, 0), endpoint(2, 0)],
      },
      { protocol: 'udp', publishedPort: 8080, serviceId: 's', endpoints: [endpoint(2, 0)] },
      { protocol: 'tcp', publishedPort: 8081, serviceId: 's', endpoints: [] },
    ],
  },
  members: MEMBERS,
  serving: [0, 2, 3],
  internal: [2],
});

function worldOf({ state, members, serving, internal }: WorldParts): RandomWorld {
  const id = (member: (typeof MEMBERS)[number]) => `mm${MEMBERS.indexOf(member)}`;
  const networks = (member: (typeof MEMBERS)[number]) =>
    member.networks.map((each) => ({
      networkId: `net${each}`,
      addresses: [`10.0.${each}.${member.number}`],
    }));
  return {
    attachments: members
      .filter(({ node }) => node === 1)
      .map((member) => ({
        taskId: id(member),
        netns: '/run/netns/x',
        attachments: networks(member).map(({ networkId, addresses }) => ({
          networkId,
          overlay: network(member.networks[0], internal.includes(member.networks[0])),
          addresses: addresses.map((each) => `${each}/32`),
        })),
      })),
    state: {
      ...state,
      services: [1, 2].map((each) => ({
        serviceId: `service${each}`,
        name: `service${each}`,
        networks: [{ networkId: `net${each}`, vips: [`10.0.${each}.2`], aliases: [] }],
      })),
      members: members.map((member) => ({
        taskId: id(member),
        nodeId: `node${member.node}`,
        serviceId: `service${member.networks[0]}`,
        names: [],
        networks: networks(member),
        serves: serving.includes(MEMBERS.indexOf(member)),
      })),
    },
  };
}
