import type { MeshPeer, MeshState, PortProtocol } from '@swarm/api';
import type { TaskNetwork } from '../runtime/runtime.js';

/** A running task, to look at its sockets. */
export interface TaskSockets {
  readonly taskId: string;
  readonly pid: number;
  /** Its address on the mesh, without prefix length. */
  readonly address: string;
  readonly ports: readonly { readonly protocol: PortProtocol; readonly port: number }[];
}

/** What the agent uses of the routing mesh (packages/routing-mesh, `Mesh`). */
export interface TaskMesh extends TaskNetwork {
  readonly backend: string;
  readonly generation: number;
  start(self: MeshPeer): Promise<void>;
  apply(state: MeshState): Promise<void>;
  detach(taskId: string): Promise<void>;
  retain(taskIds: ReadonlySet<string>): Promise<void>;
  connections(task: TaskSockets): Promise<number>;
  listens(task: TaskSockets): Promise<boolean>;
}
