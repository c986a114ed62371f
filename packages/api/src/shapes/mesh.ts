import { NODE_INDEX_FIRST, NODE_INDEX_LAST } from '../network/layout.js';
import type { MeshDelta, MeshEndpoint, MeshPeer, MeshPort, MeshState } from '../wire/mesh.js';
import {
  cidr,
  count,
  flag,
  integer,
  ipAddress,
  list,
  objectId,
  optional,
  port,
  record,
} from '../wire/shape.js';
import { portProtocolShape } from './common.js';

/** Most peers of a mesh: one for each index. */
export const MESH_PEERS_LIMIT = NODE_INDEX_LAST;
/** Most ports published by a cluster: each number once for each protocol. */
export const MESH_PORTS_LIMIT = 3 * 65_535;
/** Most tasks behind one port. */
export const MESH_ENDPOINTS_LIMIT = 100_000;

export const meshPeerShape = record<MeshPeer>({
  nodeId: objectId,
  index: integer(NODE_INDEX_FIRST, NODE_INDEX_LAST),
  address: ipAddress,
  subnet: cidr,
  down: optional(flag),
  userspace: optional(flag),
});

export const meshEndpointShape = record<MeshEndpoint>({
  taskId: objectId,
  nodeId: objectId,
  address: ipAddress,
  port,
});

export const meshPortShape = record<MeshPort>({
  protocol: portProtocolShape,
  publishedPort: port,
  serviceId: objectId,
  endpoints: list(meshEndpointShape, MESH_ENDPOINTS_LIMIT),
});

export const meshPortKeyShape = record<MeshDelta['removedPorts'][number]>({
  protocol: portProtocolShape,
  publishedPort: port,
});

export const meshStateShape = record<MeshState>({
  generation: count,
  peers: list(meshPeerShape, MESH_PEERS_LIMIT),
  ports: list(meshPortShape, MESH_PORTS_LIMIT),
});

export const meshDeltaShape = record<MeshDelta>({
  base: count,
  generation: count,
  peers: list(meshPeerShape, MESH_PEERS_LIMIT),
  removedPeers: list(objectId, MESH_PEERS_LIMIT),
  ports: list(meshPortShape, MESH_PORTS_LIMIT),
  removedPorts: list(meshPortKeyShape, MESH_PORTS_LIMIT),
});
