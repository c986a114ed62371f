export { createMesh } from './create-mesh.js';
export { DEFAULT_DATA_PATH_PORT, DEFAULT_INGRESS_NETWORK, MAX_PEER_INDEX } from './layout.js';
export type {
  HostPort,
  Mesh,
  MeshBackendName,
  MeshOptions,
  NetworkAttachment,
  TaskAttachment,
  TaskSockets,
} from './mesh.js';
