import type { MeshDelta, MeshEndpoint, MeshPort } from '@swarm/api';

/** Estimated sizes in a frame, in bytes. */
const PEER_BYTES = 192;
const PORT_BYTES = 96;
const ENDPOINT_BYTES = 120;
const REMOVED_BYTES = 48;

type Lists = Pick<MeshDelta, 'peers' | 'removedPeers' | 'ports' | 'removedPorts'>;

/**
 * Cuts a delta into pieces of about `limitBytes`, which lead to the same generation one after the other. The
 * first is based on what the agent has, each other one on the generation itself, so an agent of an earlier
 * version, which knows no pieces, applies them in turn.
 */
export function meshPieces(delta: MeshDelta, limitBytes: number): readonly MeshDelta[] {
  const pieces: Lists[] = [];
  let piece = emptyPiece();
  let bytes = 0;
  const add = (cost: number, put: () => void): void => {
    if (bytes > 0 && bytes + cost > limitBytes) {
      pieces.push(piece);
      piece = emptyPiece();
      bytes = 0;
    }
    put();
    bytes += cost;
  };
  for (const nodeId of delta.removedPeers)
    add(REMOVED_BYTES, () => piece.removedPeers.push(nodeId));
  for (const key of delta.removedPorts) add(REMOVED_BYTES, () => piece.removedPorts.push(key));
  for (const peer of delta.peers) add(PEER_BYTES, () => piece.peers.push(peer));
  for (const port of delta.ports) {
    for (const part of portParts(port, limitBytes)) {
      add(PORT_BYTES + part.endpoints.length * ENDPOINT_BYTES, () => piece.ports.push(part));
    }
  }
  pieces.push(piece);
  const { base, generation } = delta;
  return pieces.map((each, at) => ({ base: at === 0 ? base : generation, generation, ...each }));
}

function emptyPiece() {
  return {
    peers: [] as MeshDelta['peers'][number][],
    removedPeers: [] as string[],
    ports: [] as MeshPort[],
    removedPorts: [] as MeshDelta['removedPorts'][number][],
  };
}

/** A port with more endpoints than fit into a piece continues in the next: see `MeshUpdate.more`. */
function* portParts(port: MeshPort, limitBytes: number): Generator<MeshPort> {
  const most = Math.max(1, Math.floor((limitBytes - PORT_BYTES) / ENDPOINT_BYTES));
  if (port.endpoints.length <= most) {
    yield port;
    return;
  }
  for (let from = 0; from < port.endpoints.length; from += most) {
    const endpoints: readonly MeshEndpoint[] = port.endpoints.slice(from, from + most);
    yield { ...port, endpoints };
  }
}
