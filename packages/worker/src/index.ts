export { AttachableContainers } from './attachable/attachable-containers.js';
export type { AttachmentManagers } from './attachable/attachment-managers.js';
export { hostnameOf } from './attachable/container-places.js';
export type {
  ContainerRecord,
  ContainerWish,
  WantedNetwork,
} from './attachable/container-record.js';
export { Agent } from './agent/agent.js';
export type { AgentEvents, AgentOptions } from './agent/agent-options.js';
export type { AgentSocket } from './agent/agent-socket.js';
export type { AgentStorage } from './agent/agent-storage.js';
export type { ManagersStore } from './agent/managers-store.js';
export type { TaskMesh } from './agent/task-mesh.js';
export { DockerRuntime, type DockerRuntimeOptions } from './runtime/docker/docker-runtime.js';
export { engineAnswers } from './runtime/docker/engine-client.js';
export type { ProcessRuntimeOptions } from './runtime/process/process-host.js';
export { ProcessRuntime } from './runtime/process/process-runtime.js';
export * from './runtime/runtime.js';
export type { Sandbox, SandboxSpec } from './runtime/sandbox.js';
export { RuntimeError, type RuntimeErrorReason } from './runtime/runtime-error.js';
export { containersFile } from './storage/containers-file.js';
export { agentDatabase } from './storage/agent-database.js';
export { DamagedFileError, readJsonFile } from './storage/json-file.js';
export { managersFile, managersShape } from './storage/managers-file.js';
