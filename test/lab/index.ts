export * from './command.js';
export { alive, type ApiReply, Host } from './host.js';
export { TEST_IMAGE } from './image.js';
export { Lab, type LabOptions } from './lab.js';
export { LAB_ASSETS, REPOSITORY, SWARM_BIN } from './paths.js';
export type { HostRole, HostState, LabRuntime, LabState } from './state.js';
export { until } from './wait.js';
export { Cluster } from './cluster.js';
export type { LoadResult } from '../tools/load-result.js';
