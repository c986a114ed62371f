import { DISPATCH_FRAME_LIMIT_BYTES, type MeshDelta, type MeshPort, meshPortKey } from '@swarm/api';
import { managerFrameReader, Msgpack } from '@swarm/api/wire';
import test from 'ava';
import { DispatchCodec } from '../../src/dispatcher/codec.js';
import { MESH_PIECE_BYTES } from '../../src/dispatcher/limits.js';
import { meshPieces } from '../../src/dispatcher/mesh-pieces.js';

const id = (kind: string, at: number) => `${kind}${String(at).padStart(24, '0')}`;

/** A mesh of so many ports with so many endpoints each, as a new session gets it. */
function mesh(ports: number, endpointsEach: number, peers = 1_000): MeshDelta {
  return {
    base: 0,
    generation: 7,
    peers: Array.from({ length: peers }, (_, at) => ({
      nodeId: id('n', at),
      index: at + 1,
      address: `198.18.${at >> 8}.${at & 255}`,
      subnet: `10.${128 + (at >> 8)}.${at & 255}.0/24`,
    })),
    removedPeers: [],
    removedPorts: [],
    ports: Array.from({ length: ports }, (_, at) => ({
      protocol: 'tcp' as const,
      publishedPort: at + 1,
      serviceId: id('s', at),
      endpoints: Array.from({ length: endpointsEach }, (_unused, one) => ({
        taskId: id('t', at * endpointsEach + one),
        nodeId: id('n', one % peers),
        address: `10.128.${(at * endpointsEach + one) & 255}.${one & 255}`,
        port: 80,
      })),
    })),
  };
}

test('a mesh of any size goes in frames far below the limit, and an agent reads all of them', (t) => {
  const codec = new DispatchCodec();
  const read = managerFrameReader(new Msgpack());
  for (const delta of [mesh(5_000, 10), mesh(1, 60_000), mesh(60_000, 1), mesh(1, 0, 4_000)]) {
    const ports = new Map<string, MeshPort>();
    let peers = 0;
    const pieces = meshPieces(delta, MESH_PIECE_BYTES);
    t.true(pieces.length > 1);
    for (const piece of pieces) {
      const frame = codec.encode({ type: 'mesh', delta: piece, more: true }, 2);
      t.true(frame.length < DISPATCH_FRAME_LIMIT_BYTES / 8, `${frame.length} bytes`);
      const { message, setAside } = read(frame);
      t.deepEqual(setAside, []);
      if (message.type !== 'mesh') return t.fail();
      peers += message.delta.peers.length;
      for (const port of message.delta.ports) {
        const begun = ports.get(meshPortKey(port))?.endpoints ?? [];
        ports.set(meshPortKey(port), { ...port, endpoints: [...begun, ...port.endpoints] });
      }
    }
    t.is(peers, delta.peers.length);
    t.deepEqual([...ports.values()], delta.ports);
  }
});

test('each piece is based on the generation that the first one leads to, and a small change is one', (t) => {
  const bases = meshPieces({ ...mesh(5_000, 10), base: 3 }, MESH_PIECE_BYTES).map(
    ({ base, generation }) => `${base}-${generation}`,
  );
  t.is(bases[0], '3-7');
  t.deepEqual([...new Set(bases.slice(1))], ['7-7']);
  const small: MeshDelta = {
    ...{ base: 3, generation: 4, peers: [], removedPeers: ['n'], ports: [] },
    removedPorts: [{ protocol: 'tcp', publishedPort: 1 }],
  };
  t.deepEqual(meshPieces(small, MESH_PIECE_BYTES), [small]);
  const nothing = { ...small, removedPeers: [], removedPorts: [] };
  t.deepEqual(meshPieces(nothing, MESH_PIECE_BYTES), [nothing]);
});
