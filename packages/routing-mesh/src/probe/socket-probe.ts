import type { TaskSockets } from '../mesh.js';

/** Looks at the sockets of running tasks. */
export interface SocketProbe {
  /**
   * TCP connections at the task's addresses, on its ports, that a drain waits for. Includes those that the
   * task has closed while bytes of its answer are not acknowledged: they would be lost with its namespace. 0
   * if the task is gone.
   */
  connections(task: TaskSockets): Promise<number>;

  /**
   * Whether all TCP ports are listened on and all UDP ports bound, at one of the task's addresses or at any.
   * Ignores SCTP.
   */
  listens(task: TaskSockets): Promise<boolean>;

  /** The same for its IPv6 addresses, by sockets of IPv6 alone. False without ports of TCP or UDP. */
  listensIpv6(task: TaskSockets): Promise<boolean>;
}
