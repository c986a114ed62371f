/** `@swarm/routing-mesh/lab`: meshes in namespaces, for what measures them from outside this package. */
export { type Agent, type Host as MeshHost, labProblem, MeshLab } from './lab.js';
export { OverlayCluster, type OverlayNode, type OverlayTask } from './overlay-cluster.js';
