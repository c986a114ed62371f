export { createMesh } from './create-mesh.js';
export type { Kernel } from './kernel/kernel.js';
export type { Sockets } from './kernel/sockets.js';
export { DEFAULT_DATA_PATH_PORT, DEFAULT_INGRESS_NETWORK, MAX_PEER_INDEX } from './layout.js';
export type {
  HostPort,
  Mesh,
  MeshBackendName,
  MeshOptions,
  NetworkAttachment,
  OverlayNetwork,
  TaskAttachment,
  TaskSockets,
} from './mesh.js';
export { systemKernel } from './system/system-kernel.js';
export { systemSockets } from './system/system-sockets.js';
