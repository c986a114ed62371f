import type { IpAddress } from '@swarm/api';
import type { CheckedPeer, CheckedPort } from '../checked.js';
import type { FoundLink } from '../links/task-links.js';
import type { TaskId } from '../layout.js';
import type { HostPort } from '../mesh.js';

/** What a balancer is told of a state. */
export interface BalancerSlice {
  /** Nodes that this one has a way to, by id; itself too. */
  readonly peers: ReadonlyMap<string, CheckedPeer>;
  /** All published ports with their endpoints. Ports that did not change are the same object as before. */
  readonly ports: readonly CheckedPort[];
}

/** A task of this node. */
export interface LocalTask {
  readonly taskId: TaskId;
  /** On all its networks, in the order of its attachments. */
  readonly addresses: readonly IpAddress[];
  readonly hostPorts: readonly HostPort[];
}

/**
 * Leads clients of published ports to endpoints, and clients of host ports to tasks of this node.
 *
 * Calls do not overlap, less `cut`; who composes the mesh sees to it. For each state it calls `apply`, then commits
 * the transaction of all parts, then calls `settle`.
 */
export interface LoadBalancer {
  /** Takes the node's own place. */
  start(self: CheckedPeer): Promise<void>;

  /**
   * Takes over the host ports of tasks that an earlier process attached.
   * @returns which they are, by task; undefined when they cannot be told, so that nothing is taken over
   */
  adopt(links: readonly FoundLink[]): Promise<ReadonlyMap<TaskId, readonly HostPort[]> | undefined>;

  /**
   * Leads published ports to exactly these endpoints, at the latest once the transaction is committed.
   * Connections to endpoints that are gone go on. A port that cannot be opened is reported, and tried
   * again with each state; the others are not held up.
   */
  apply(slice: BalancerSlice): Promise<void>;

  /**
   * Ends what must not go on after the last `apply`: TCP connections to tasks of peers that are gone or
   * down are reset, UDP clients move away from endpoints that are gone.
   */
  settle(): Promise<void>;

  /**
   * Leads the task's host ports to it, at once, instead of those it had. Nobody else has them.
   * @throws RangeError when the task has no address they could lead to
   */
  attach(task: LocalTask): Promise<void>;

  /** Closes the host ports of these tasks, at once. Tasks it does not know are no error. */
  detach(taskIds: readonly TaskId[]): Promise<void>;

  /** Ends the connections that lead to these addresses, of tasks that are gone. */
  cut(addresses: readonly IpAddress[]): Promise<void>;

  /** Takes no more clients. What of it lives in this process ends; the rest is the transaction's. */
  close(): Promise<void>;
}
