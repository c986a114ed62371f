export { Agent, type AgentEvents, type AgentOptions } from './agent/agent.js';
export { DamagedFileError, readJsonFile } from './agent/json-file.js';
export { type ManagersStore, managersFile, managersShape } from './agent/managers-store.js';
export type { TaskMesh } from './agent/task-mesh.js';
export { DockerRuntime, type DockerRuntimeOptions } from './runtime/docker/docker-runtime.js';
export { engineAnswers } from './runtime/docker/engine-client.js';
export { ProcessRuntime, type ProcessRuntimeOptions } from './runtime/process/process-runtime.js';
export * from './runtime/runtime.js';
export { RuntimeError, type RuntimeErrorReason } from './runtime/runtime-error.js';
