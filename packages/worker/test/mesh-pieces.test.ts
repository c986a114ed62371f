import type { MeshDelta, MeshPort, MeshUpdate } from '@swarm/api';
import test from 'ava';
import { MESH_PIECES_LIMIT } from '../src/agent/limits.js';
import { MeshPieces } from '../src/agent/mesh-pieces.js';

function piece(base: number, change: Partial<MeshDelta>, more: boolean): MeshUpdate {
  const delta = { generation: 5, peers: [], removedPeers: [], ports: [], removedPorts: [] };
  return { type: 'mesh', delta: { base, ...delta, ...change }, more };
}

function port(publishedPort: number, ...taskIds: string[]): MeshPort {
  const endpoints = taskIds.map((taskId) => ({
    ...{ taskId, nodeId: 'n1', address: '10.0.0.2', port: 80 },
  }));
  return { protocol: 'tcp', publishedPort, serviceId: 's1', endpoints };
}

test('a change in pieces is one change, with the endpoints of a port from all of them', (t) => {
  const pieces = new MeshPieces();
  t.is(pieces.add(piece(2, { removedPeers: ['n9'], ports: [port(1, 'a')] }, true)), undefined);
  t.is(pieces.add(piece(5, { ports: [port(2, 'b')] }, true)), undefined);
  t.deepEqual(pieces.add(piece(5, { ports: [port(2, 'c'), port(3)] }, false)), {
    base: 2,
    generation: 5,
    peers: [],
    removedPeers: ['n9'],
    ports: [port(1, 'a'), port(2, 'b', 'c'), port(3)],
    removedPorts: [],
  });
  const whole = piece(5, { generation: 6 }, false);
  t.is(pieces.add(whole), whole.delta);
});

test('a piece that is missing, or one too many, is an error', (t) => {
  const gap = new MeshPieces();
  gap.add(piece(2, {}, true));
  t.throws(() => gap.add(piece(4, {}, false)), { message: /missing/ });
  const endless = new MeshPieces();
  endless.add(piece(2, {}, true));
  for (let count = 1; count < MESH_PIECES_LIMIT; count += 1) endless.add(piece(5, {}, true));
  t.throws(() => endless.add(piece(5, {}, true)), { message: /more than 1024/ });
});
