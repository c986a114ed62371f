import {
  filled,
  type MeshDelta,
  type MeshEndpoint,
  type MeshMember,
  type MeshPort,
  type MeshService,
} from '@swarm/api';

/** Estimated sizes in a frame, in bytes. */
const PEER_BYTES = 192;
const PORT_BYTES = 96;
const ENDPOINT_BYTES = 120;
const REMOVED_BYTES = 48;
const NAME_BYTES = 32;
const ADDRESS_BYTES = 24;
const NETWORK_BYTES = 80;
const MEMBER_BYTES = 160;

type Lists = Omit<MeshDelta, 'base' | 'generation' | 'ingress'>;

/**
 * Cuts a delta into pieces of about `limitBytes`, which lead to the same generation one after the other. The
 * first is based on what the agent has, each other one on the generation itself, so an agent of an earlier
 * version, which knows no pieces, applies them in turn.
 */
export function meshPieces(delta: MeshDelta, limitBytes: number): readonly MeshDelta[] {
  const pieces: Piece[] = [];
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
  const { services = [], removedServices = [], members = [], removedMembers = [] } = delta;
  for (const id of removedServices) add(REMOVED_BYTES, () => piece.removedServices.push(id));
  for (const id of removedMembers) add(REMOVED_BYTES, () => piece.removedMembers.push(id));
  for (const service of services) add(serviceBytes(service), () => piece.services.push(service));
  for (const member of members) add(memberBytes(member), () => piece.members.push(member));
  pieces.push(piece);
  const { base, generation, ingress } = delta;
  return pieces.map((each, at) => ({
    ...{ base: at === 0 ? base : generation, generation },
    ...(ingress && { ingress }),
    ...trimmed(each),
  }));
}

/** Without lists that agents of before do not know and most pieces do not need. */
function trimmed({ services, removedServices, members, removedMembers, ...rest }: Piece): Lists {
  return { ...rest, ...filled({ services, removedServices, members, removedMembers }) };
}

function serviceBytes({ networks }: MeshService): number {
  return networks.reduce(
    (sum, { vips, aliases }) =>
      sum + NETWORK_BYTES + vips.length * ADDRESS_BYTES + aliases.length * NAME_BYTES,
    PORT_BYTES,
  );
}

function memberBytes({ names, networks }: MeshMember): number {
  return networks.reduce(
    (sum, { addresses }) => sum + NETWORK_BYTES + addresses.length * ADDRESS_BYTES,
    MEMBER_BYTES + names.length * NAME_BYTES,
  );
}

type Piece = ReturnType<typeof emptyPiece>;

function emptyPiece() {
  return {
    peers: [] as MeshDelta['peers'][number][],
    removedPeers: [] as string[],
    ports: [] as MeshPort[],
    removedPorts: [] as MeshDelta['removedPorts'][number][],
    services: [] as MeshService[],
    removedServices: [] as string[],
    members: [] as MeshMember[],
    removedMembers: [] as string[],
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
