import type { Mesh } from '@swarm/routing-mesh';

/** What the agent uses of the node's routing mesh. The owner of the mesh closes it. */
export type TaskMesh = Omit<Mesh, 'close' | 'trace'>;
