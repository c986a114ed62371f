import { filled, type MeshDelta, type MeshPort, type MeshUpdate, meshPortKey } from '@swarm/api';
import { MESH_PIECES_LIMIT } from './limits.js';

/** Puts together a change of the mesh that comes in pieces, so that the kernel gets it at once. */
export class MeshPieces {
  #pieces: MeshDelta[] = [];

  /** Forgets what came of a change: the session is over. */
  reset(): void {
    this.#pieces = [];
  }

  /**
   * Takes the next piece.
   * @returns the whole change after its last piece
   * @throws Error when it does not follow the one before, or there are too many
   */
  add({ delta, more }: MeshUpdate): MeshDelta | undefined {
    const [first] = this.#pieces;
    if (first !== undefined) {
      const { generation } = first;
      if (delta.base !== generation || delta.generation !== generation)
        throw new Error('a piece of a mesh generation is missing');
      if (this.#pieces.length >= MESH_PIECES_LIMIT)
        throw new Error(`a mesh generation in more than ${MESH_PIECES_LIMIT} pieces`);
    } else if (more !== true) return delta;
    this.#pieces.push(delta);
    if (more === true) return undefined;
    const pieces = this.#pieces;
    this.reset();
    return joined(pieces);
  }
}

function joined(pieces: readonly MeshDelta[]): MeshDelta {
  const { base, generation, ingress } = pieces[0]!;
  const ports = new Map<string, MeshPort>();
  for (const port of pieces.flatMap((piece) => piece.ports)) {
    const key = meshPortKey(port);
    const begun = ports.get(key);
    // A port with very many endpoints comes in parts.
    const endpoints =
      begun === undefined ? port.endpoints : [...begun.endpoints, ...port.endpoints];
    ports.set(key, { ...port, endpoints });
  }
  return {
    base,
    generation,
    ...(ingress && { ingress }),
    peers: pieces.flatMap(({ peers }) => peers),
    removedPeers: pieces.flatMap(({ removedPeers }) => removedPeers),
    ports: [...ports.values()],
    removedPorts: pieces.flatMap(({ removedPorts }) => removedPorts),
    ...filled({
      services: pieces.flatMap(({ services = [] }) => services),
      removedServices: pieces.flatMap(({ removedServices = [] }) => removedServices),
      members: pieces.flatMap(({ members = [] }) => members),
      removedMembers: pieces.flatMap(({ removedMembers = [] }) => removedMembers),
    }),
  };
}
