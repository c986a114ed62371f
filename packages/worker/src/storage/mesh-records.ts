import {
  type MeshDelta,
  type MeshIngress,
  type MeshMember,
  type MeshPeer,
  type MeshPort,
  type MeshService,
  filled,
  meshIngressShape,
  meshMemberShape,
  meshPeerShape,
  meshPortKey,
  meshPortShape,
  meshServiceShape,
  type Shape,
  shape,
} from '@swarm/api';
import type { StoredMesh } from '../agent/agent-storage.js';

/** Where earlier versions kept the whole mesh in one record. */
export const WHOLE_MESH_KEY = 'mesh';
/** Of all records of the mesh. */
export const MESH_PREFIX = 'mesh/';
const PLACE_KEY = 'mesh/place';
const KINDS = {
  peer: 'mesh/peer/',
  port: 'mesh/port/',
  service: 'mesh/service/',
  member: 'mesh/member/',
} as const;

/** The node's place, and the generation that the other records make up; 0 when no state was received. */
interface Place {
  readonly self: MeshPeer;
  readonly generation: number;
  /** As in a MeshState of that generation. */
  readonly ingress?: MeshIngress;
}

const placeShape = shape.record<Place>({
  self: meshPeerShape,
  generation: shape.count,
  ingress: shape.optional(meshIngressShape),
});

/** What a record may be, by its key. */
export function meshRecordShape(key: string): Shape<unknown> | undefined {
  if (key === PLACE_KEY) return placeShape;
  if (key.startsWith(KINDS.peer)) return meshPeerShape;
  if (key.startsWith(KINDS.port)) return meshPortShape;
  if (key.startsWith(KINDS.service)) return meshServiceShape;
  if (key.startsWith(KINDS.member)) return meshMemberShape;
  return undefined;
}

type Records = readonly (readonly [key: string, value: unknown])[];

/** The records of a mesh. */
export function meshRecords({ self, state }: StoredMesh): Records {
  const place = placeOf(self, { generation: 0, ...state });
  return [[PLACE_KEY, place], ...(state === undefined ? [] : puts(state))];
}

/** What a delta changes in them; undefined is a record that goes. */
export function changedRecords(self: MeshPeer, delta: MeshDelta): Records {
  const { removedServices = [], removedMembers = [] } = delta;
  const removed = [
    ...delta.removedPeers.map((id) => KINDS.peer + id),
    ...delta.removedPorts.map((port) => KINDS.port + meshPortKey(port)),
    ...removedServices.map((id) => KINDS.service + id),
    ...removedMembers.map((id) => KINDS.member + id),
  ];
  const place = placeOf(self, delta);
  return [
    ...removed.map((key) => [key, undefined] as const),
    ...puts(delta),
    [PLACE_KEY, place] as const,
  ];
}

function placeOf(
  self: MeshPeer,
  { generation, ingress }: Pick<MeshDelta, 'generation' | 'ingress'>,
): Place {
  return { self, generation, ...(ingress && { ingress }) };
}

function puts({
  peers,
  ports,
  services = [],
  members = [],
}: Pick<MeshDelta, 'peers' | 'ports' | 'services' | 'members'>): Records {
  return [
    ...peers.map((one) => [KINDS.peer + one.nodeId, one] as const),
    ...ports.map((one) => [KINDS.port + meshPortKey(one), one] as const),
    ...services.map((one) => [KINDS.service + one.serviceId, one] as const),
    ...members.map((one) => [KINDS.member + one.taskId, one] as const),
  ];
}

/**
 * Puts the mesh together from its records.
 * @param isWhole whether every record could be read; else the managers have to send the state again
 * @returns undefined without a place
 */
export function meshOf(
  records: ReadonlyMap<string, unknown>,
  isWhole: boolean,
): StoredMesh | undefined {
  const place = records.get(PLACE_KEY) as Place | undefined;
  if (place === undefined) return undefined;
  const { self, generation, ingress } = place;
  if (!isWhole || generation === 0) return { self };
  const of = <T>(prefix: string): T[] =>
    [...records].flatMap(([key, value]) => (key.startsWith(prefix) ? [value as T] : []));
  return {
    self,
    state: {
      generation,
      ...(ingress && { ingress }),
      peers: of<MeshPeer>(KINDS.peer),
      ports: of<MeshPort>(KINDS.port),
      ...filled({
        services: of<MeshService>(KINDS.service),
        members: of<MeshMember>(KINDS.member),
      }),
    },
  };
}
