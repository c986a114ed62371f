export { createMesh, meshProblem } from './create-mesh.js';
export { parseTunnelKey, type TunnelKeyPair } from './encryption/keys.js';
export type { Kernel } from './kernel/kernel.js';
export type { Sockets } from './kernel/sockets.js';
export { DEFAULT_DATA_PATH_PORT, MAX_PEER_INDEX } from './layout.js';
export type {
  HostPort,
  Mesh,
  MeshBackendName,
  MeshOptions,
  NetworkAttachment,
  OverlayNetwork,
  TaskAttachment,
  TaskRefusals,
  TaskSockets,
} from './mesh.js';
export { readResolvConf, writeResolvConf, type ResolvConf } from './names/resolv-conf.js';
export type { ResolverProcess } from './names/resolver-process.js';
export { systemKernel } from './system/system-kernel.js';
export { systemResolver } from './system/names/system-resolver.js';
export { systemSockets } from './system/system-sockets.js';
