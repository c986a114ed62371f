import type { IpAddress, PortKey } from '@swarm/api';
import type { CheckedPeer, CheckedPort } from '../checked.js';
import type { CheckedIngress } from '../ingress.js';
import type { FoundLink } from '../links/task-links.js';
import type { TaskId } from '../layout.js';
import type { HostPort } from '../mesh.js';
import type { Balancing } from '../trace/packet.js';

/** The part of a state that a balancer gets. */
export interface BalancerSlice {
  /** Nodes that this one can reach, by id; includes itself. */
  readonly peers: ReadonlyMap<string, CheckedPeer>;
  /** All published ports with their endpoints. Follows the newest state: keep what has to stay. */
  readonly ports: ReadonlyMap<PortKey, CheckedPort>;
  /** Those that may differ from the last slice, whose peers are the same; undefined: everything may. */
  readonly touched: Iterable<PortKey> | undefined;
}

/** A task of this node. */
export interface LocalTask {
  readonly taskId: TaskId;
  /** On all its networks, in the order of its attachments. */
  readonly addresses: readonly IpAddress[];
  readonly hostPorts: readonly HostPort[];
  /** It listens on its ports over IPv6 too, at the address derived from its IPv4 one. */
  readonly servesIpv6: boolean;
}

/** Clients of a published port that its limits refused. */
export interface PortRefusals {
  readonly port: PortKey;
  readonly count: number;
  /** The client of one of them. */
  readonly from: string;
}

/**
 * Sends clients of published ports to endpoints, and clients of host ports to tasks of this node.
 *
 * Calls must not overlap, except `cut`; the mesh that owns the parts ensures that. For each state it calls `apply`,
 * then commits the transaction of all parts, then calls `settle`.
 */
export interface LoadBalancer {
  /** Tells the balancer the node's own place. */
  start(self: CheckedPeer, ingress: CheckedIngress): Promise<void>;

  /**
   * Takes over the host ports of tasks that an earlier process attached.
   * @returns the host ports by task; undefined if they cannot be read, so that nothing is taken over
   */
  adopt(links: readonly FoundLink[]): Promise<ReadonlyMap<TaskId, readonly HostPort[]> | undefined>;

  /**
   * Sends published ports to exactly these endpoints, at the latest once the transaction is committed.
   * Connections to removed endpoints continue. Reports a port that cannot be opened and tries it again with
   * each slice that does not name what it touches; it does not hold up the others.
   */
  apply(slice: BalancerSlice): Promise<void>;

  /**
   * Ends what must not continue after the last `apply`: resets TCP connections to tasks of peers that are gone
   * or down, moves UDP clients away from removed endpoints, and leads those to endpoints whose socket is older
   * than the port.
   * @param isUnsure whether packets may have passed without rules since the last call
   */
  settle(options?: { readonly isUnsure: boolean }): Promise<void>;

  /**
   * Sends the task's host ports to it, at once, instead of those it had. No other task has them.
   * @throws RangeError when the task has no address for them
   */
  attach(task: LocalTask): Promise<void>;

  /** Closes the host ports of these tasks at once. Ignores tasks that it does not know. */
  detach(taskIds: readonly TaskId[]): Promise<void>;

  /** Ends the connections to these addresses, which belonged to removed tasks. */
  cut(addresses: readonly IpAddress[]): Promise<void>;

  /** Whether an open socket of the balancer keeps the programs of this host from taking the port at the address. */
  holds(port: PortKey, address: IpAddress): boolean;

  /** Whether the task's host ports are led to it over IPv6 too. */
  servesIpv6(taskId: TaskId): boolean;

  /**
   * Ports that it could not open as the slice and the tasks ask, and why, as the end of a sentence. Another map after
   * each change.
   */
  readonly unserved: ReadonlyMap<PortKey, string>;

  /** For the tracer: what it does with packets that the table only marks. */
  readonly balancing?: Balancing;

  /** Clients that limits of published ports refused since the last look. Costs nothing while no port has limits. */
  look(): Promise<readonly PortRefusals[]>;

  /** Tries again to open those. */
  retry(): Promise<void>;

  /**
   * Restores what somebody changed of what the balancer wrote by itself; the transaction restores the rest. Also removes
   * what had to stay for connections that have ended.
   * @returns whether somebody had changed something
   */
  repair(): Promise<boolean>;

  /**
   * Accepts no more clients. Ends what lives in this process; the transaction removes the rest.
   * @param options `keep` leaves the kernel as it is
   */
  close(options: { readonly keep: boolean }): Promise<void>;
}
