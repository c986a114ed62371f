import type { MeshPort, MeshState, PortProtocol } from '@swarm/api';
import fc from 'fast-check';
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
    })
    .map(({ nodes }) => ({
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
