import type { TaskSockets } from '../mesh.js';

/** Looks at the sockets of running tasks. */
export interface SocketProbe {
  /**
   * TCP connections at the task's addresses, on its ports, that a drain waits for. Those the task has
   * closed count while bytes of its answer are not acknowledged: they would be lost with its namespace.
   * 0 when the task is gone.
   */
  connections(task: TaskSockets): Promise<number>;

  /**
   * Whether all TCP ports are listened on and all UDP ports bound, at one of the task's addresses or at
   * any. SCTP is not looked at.
   */
  listens(task: TaskSockets): Promise<boolean>;
}
