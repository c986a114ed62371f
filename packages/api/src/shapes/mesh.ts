import { NETWORK_ADDRESSES_LIMIT, NODE_INDEX_FIRST, NODE_INDEX_LAST } from '../network/layout.js';
import { MTU_MAX_BYTES, MTU_MIN_BYTES } from '../network/overlay-options.js';
import type {
  MeshClientLimits,
  MeshDelta,
  MeshEncryption,
  MeshEndpoint,
  MeshIngress,
  MeshMember,
  MeshMemberNetwork,
  MeshPeer,
  MeshPort,
  MeshService,
  MeshServiceNetwork,
  MeshState,
} from '../wire/mesh.js';
import {
  choice,
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
  text,
} from '../wire/shape.js';
import {
  CLIENT_CONNECTIONS_LIMIT,
  CLIENT_RATE_LIMIT,
  ENDPOINT_WEIGHT_LIMIT,
  NAME_LIMIT,
  NODE_IPV6_LIMIT,
  portProtocolShape,
  proxyProtocolShape,
  ratePeriodShape,
} from './common.js';
import { allowShape } from './service.js';

/** Most peers of a mesh: one for each index. */
export const MESH_PEERS_LIMIT = NODE_INDEX_LAST;
/** Most ports published by a cluster: each number once for each protocol. */
export const MESH_PORTS_LIMIT = 3 * 65_535;
/** Most tasks behind one port. */
export const MESH_ENDPOINTS_LIMIT = 100_000;

/** Most characters of a key, and of the name of an epoch or of a means. */
const ENCRYPTION_TEXT_LIMIT = 64;
const MEANS_LIMIT = 8;
const encryptionText = text(ENCRYPTION_TEXT_LIMIT);

export const meshEncryptionShape = record<MeshEncryption>({
  publicKey: encryptionText,
  epoch: encryptionText,
  means: list(encryptionText, MEANS_LIMIT),
});

export const meshPeerShape = record<MeshPeer>({
  nodeId: objectId,
  index: integer(NODE_INDEX_FIRST, NODE_INDEX_LAST),
  address: ipAddress,
  subnet: cidr,
  down: optional(flag),
  userspace: optional(flag),
  probed: optional(flag),
  encryption: optional(meshEncryptionShape),
  ipv6Addresses: optional(list(ipAddress, NODE_IPV6_LIMIT)),
});

export const meshEndpointShape = record<MeshEndpoint>({
  taskId: objectId,
  nodeId: objectId,
  address: ipAddress,
  port,
  ipv6: optional(flag),
  weight: optional(integer(0, ENDPOINT_WEIGHT_LIMIT)),
});

export const meshPortShape = record<MeshPort>({
  protocol: portProtocolShape,
  publishedPort: port,
  serviceId: objectId,
  endpoints: list(meshEndpointShape, MESH_ENDPOINTS_LIMIT),
  hostIp: optional(ipAddress),
  affinity: optional(choice<'client'>({ client: true })),
  policy: optional(choice<NonNullable<MeshPort['policy']>>({ local: true, 'prefer-local': true })),
  proxyProtocol: optional(proxyProtocolShape),
  limits: optional(
    record<MeshClientLimits>({
      connections: optional(integer(1, CLIENT_CONNECTIONS_LIMIT)),
      rate: optional(integer(1, CLIENT_RATE_LIMIT)),
      per: optional(ratePeriodShape),
      burst: optional(integer(1, CLIENT_RATE_LIMIT)),
    }),
  ),
});

export const meshPortKeyShape = record<MeshDelta['removedPorts'][number]>({
  protocol: portProtocolShape,
  publishedPort: port,
});

/** Most services and most tasks of a cluster on overlay networks. */
export const MESH_SERVICES_LIMIT = 100_000;
export const MESH_MEMBERS_LIMIT = 1_000_000;
/** Most networks of one task, and names of one task or service. */
const NETWORKS_LIMIT = 64;
const NAMES_LIMIT = 1024;
const nameShape = text(NAME_LIMIT);

export const meshServiceShape = record<MeshService>({
  serviceId: objectId,
  name: nameShape,
  networks: list(
    record<MeshServiceNetwork>({
      networkId: objectId,
      vips: list(ipAddress, NETWORK_ADDRESSES_LIMIT),
      aliases: list(nameShape, NAMES_LIMIT),
    }),
    NETWORKS_LIMIT,
  ),
  allow: optional(allowShape),
});

export const meshMemberShape = record<MeshMember>({
  taskId: objectId,
  nodeId: objectId,
  serviceId: text(NAME_LIMIT),
  names: list(nameShape, NAMES_LIMIT),
  networks: list(
    record<MeshMemberNetwork>({
      networkId: objectId,
      addresses: list(ipAddress, NETWORK_ADDRESSES_LIMIT),
    }),
    NETWORKS_LIMIT,
  ),
  serves: flag,
  weight: optional(integer(0, ENDPOINT_WEIGHT_LIMIT)),
});

const servicesShape = optional(list(meshServiceShape, MESH_SERVICES_LIMIT));
const membersShape = optional(list(meshMemberShape, MESH_MEMBERS_LIMIT));

export const meshIngressShape = record<MeshIngress>({
  subnet: cidr,
  mtuBytes: optional(integer(MTU_MIN_BYTES, MTU_MAX_BYTES)),
});

export const meshStateShape = record<MeshState>({
  generation: count,
  ingress: optional(meshIngressShape),
  peers: list(meshPeerShape, MESH_PEERS_LIMIT),
  ports: list(meshPortShape, MESH_PORTS_LIMIT),
  services: servicesShape,
  members: membersShape,
});

export const meshDeltaShape = record<MeshDelta>({
  base: count,
  generation: count,
  ingress: optional(meshIngressShape),
  peers: list(meshPeerShape, MESH_PEERS_LIMIT),
  removedPeers: list(objectId, MESH_PEERS_LIMIT),
  ports: list(meshPortShape, MESH_PORTS_LIMIT),
  removedPorts: list(meshPortKeyShape, MESH_PORTS_LIMIT),
  services: servicesShape,
  removedServices: optional(list(objectId, MESH_SERVICES_LIMIT)),
  members: membersShape,
  removedMembers: optional(list(objectId, MESH_MEMBERS_LIMIT)),
});
