import type { Clock, Logger, MeshBackendName, MeshPeer, MeshState, PortProtocol } from '@swarm/api';
import type { Kernel } from './kernel/kernel.js';
import type { Sockets } from './kernel/sockets.js';

/** A port of a task published on its own node only. */
export interface HostPort {
  readonly protocol: PortProtocol;
  readonly publishedPort: number;
  readonly targetPort: number;
}

/** A task's place on one network. */
export interface NetworkAttachment {
  readonly networkId: string;
  /**
   * As CIDR: `10.240.3.7/32`, `fd00::7/128`. An IPv4 address is of the node's block. With the userspace
   * backend the addresses the task listens on.
   */
  readonly addresses: readonly string[];
}

/** A task's places on its networks. */
export interface TaskAttachment {
  readonly taskId: string;
  /** The task's network namespace: `/run/netns/x` or `/proc/PID/ns/net`. Not used by userspace. */
  readonly netns: string;
  /**
   * At least one. Each becomes a link of the task, `eth0`, `eth1` and so on in this order; the first has
   * the default routes.
   */
  readonly attachments: readonly NetworkAttachment[];
  /** They lead to the task's first IPv4 address. */
  readonly hostPorts?: readonly HostPort[];
}

/** Where to look for a running task's sockets. */
export interface TaskSockets {
  readonly taskId: string;
  /** Any process inside the task's network namespace. */
  readonly pid: number;
  /** The task's addresses on its networks, without prefix lengths. */
  readonly addresses: readonly string[];
  /** Its target ports. */
  readonly ports: readonly { readonly protocol: PortProtocol; readonly port: number }[];
}

export type { MeshBackendName };

/**
 * One node's part of the routing mesh. Calls may come at any time and overlap; each implementation
 * orders them itself.
 */
export interface Mesh {
  readonly backend: MeshBackendName;

  /**
   * Sets up the node's part: tunnel device, sysctls, table. Idempotent; takes over what an earlier
   * process left without touching its connections.
   * @throws when the kernel lacks a part or the rights are missing; the message says which
   */
  start(self: MeshPeer): Promise<void>;

  /**
   * Makes the kernel hold this state, in one transaction; resolves when it does. Calls are serialised, a
   * later call replaces one that still waits (both then resolve together). A state older than the
   * kernel's is ignored. An endpoint change touches set elements only.
   *
   * When a peer goes, or is marked down, connections to its tasks are reset, so that clients notice at
   * once. A peer that is down keeps its routes: its kernel may still lead clients to tasks of others.
   */
  apply(state: MeshState): Promise<void>;

  /** Generation of the last state this process made the kernel hold; 0 before the first. */
  readonly generation: number;

  /**
   * Gives a task its addresses and links before its first instruction. Repeating it with the same task is
   * allowed and renews everything.
   */
  attach(task: TaskAttachment): Promise<void>;

  /** Takes a task's links away, and the connections that lead to it. Unknown tasks are no error. */
  detach(taskId: string): Promise<void>;

  /** After a restart: removes what belongs to tasks not named; tasks named keep theirs untouched. */
  retain(taskIds: ReadonlySet<string>): Promise<void>;

  /**
   * How many TCP connections the task still has on these ports, by its addresses on the mesh: what a
   * drain waits for. Counts half-closed ones that may still send. UDP has none. 0 when the task is gone.
   */
  connections(task: TaskSockets): Promise<number>;

  /** Whether the task listens on all of these ports (TCP) or has them bound (UDP); SCTP is not seen. */
  listens(task: TaskSockets): Promise<boolean>;

  /** `keep` leaves the kernel as it is: traffic goes on while the daemon restarts. */
  close(options: { readonly keep: boolean }): Promise<void>;
}

export interface MeshOptions {
  /** `auto`: nftables with root where the kernel has it, else userspace. */
  readonly backend: 'auto' | MeshBackendName;
  /** UDP port of the tunnel, 1024–49151, the same on all nodes. Default 4789. */
  readonly dataPathPort?: number;
  /** Network all nodes' blocks come from. Default 10.240.0.0/12. */
  readonly ingressNetwork?: string;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly kernel: Kernel;
  readonly sockets: Sockets;
  /** 0 to 1, as `Math.random`. */
  readonly random: () => number;
  /** How often nftables looks whether someone flushed our table, ms. Default 15000. */
  readonly checkIntervalMs?: number;
  /** Addresses the userspace backend listens on. Default `0.0.0.0` and `::`. */
  readonly bindAddresses?: readonly string[];
  /** Userspace: a UDP client is forgotten after this long without a packet, ms. Default 60000. */
  readonly udpIdleMs?: number;
}
