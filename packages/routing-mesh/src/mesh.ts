import type {
  Clock,
  Logger,
  MeshBackendName,
  MeshDelta,
  MeshEncryption,
  MeshIngress,
  MeshPeer,
  MeshState,
  MeshTrace,
  MeshTraceQuery,
  NodePaths,
  PortConflict,
  PortKey,
  PortProtocol,
} from '@swarm/api';
import type { TunnelKeyPair } from './encryption/keys.js';
import type { EncryptionOptions } from './encryption/open-encryption.js';
import type { Kernel } from './kernel/kernel.js';
import type { Sockets } from './kernel/sockets.js';
import type { ResolverProcess } from './names/resolver-process.js';

/** A port of a task that is published on its own node only. */
export interface HostPort {
  readonly protocol: PortProtocol;
  readonly publishedPort: number;
  readonly targetPort: number;
  /** The only address that it is published on; `0.0.0.0` or `::` for all of one family. */
  readonly hostIp?: string;
}

/** An overlay network, as its tasks' nodes have to know it. */
export interface OverlayNetwork {
  readonly networkId: string;
  readonly name: string;
  /** CIDR, at most one of each family. No other network of the cluster overlaps with them. */
  readonly subnets: readonly string[];
  /** Its tasks do not reach the outside through it. */
  readonly isInternal: boolean;
  /** What its tasks send each other leaves the node only encrypted. */
  readonly isEncrypted: boolean;
  /** Largest packet of its links, if it shall be smaller than what the tunnel takes. */
  readonly mtuBytes?: number;
}

/** A task's place on one network. */
export interface NetworkAttachment {
  readonly networkId: string;
  /** What the network is. Absent for the ingress network, which has no names and no virtual addresses. */
  readonly overlay?: OverlayNetwork;
  /**
   * As CIDR: `10.240.3.7/32`, `fd00::7/128`. On the ingress network, an IPv4 address is in the node's block; on
   * an overlay network, each is in one of its subnets. With the userspace backend, the addresses on which the task
   * listens.
   */
  readonly addresses: readonly string[];
}

/** A task's places on its networks. */
export interface TaskAttachment {
  readonly taskId: string;
  /** The task's network namespace: `/run/netns/x` or `/proc/PID/ns/net`. Unused by userspace. */
  readonly netns: string;
  /**
   * At least one. Each becomes a link of the task, `eth0`, `eth1` and so on in this order; the first has the
   * default routes.
   */
  readonly attachments: readonly NetworkAttachment[];
  /** These go to the task's first IPv4 address. */
  readonly hostPorts?: readonly HostPort[];
  /**
   * Names of the task itself, which it finds on its overlay networks from its first instruction. One that cannot be
   * a host name is left out.
   */
  readonly names?: readonly string[];
  /** Asked for names that the cluster does not know, in place of the host's name servers. */
  readonly nameservers?: readonly string[];
}

/** Clients that no rule of a task's service admits, or that are beyond the limits of a published port. */
export interface TaskRefusals {
  /** With limits, a task of this node that serves the port. */
  readonly taskId: string;
  readonly by: 'rules' | 'limits';
  /** Attempts since the last report: packets, of which a refused TCP connection has one. */
  readonly count: number;
  /** One of them. The port is 0 for protocols without ports; with limits, the published one. */
  readonly last: { readonly from: string; readonly protocol: string; readonly port: number };
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
  /** Others reach it on every port, as on an overlay network: connections to whatever it listens on count. */
  readonly isOpen?: boolean;
}

export type { MeshBackendName };

/**
 * One node's part of the routing mesh. Calls may come at any time and overlap; the implementation orders
 * them.
 */
export interface Mesh {
  readonly backend: MeshBackendName;

  /**
   * Sets up the node's part: tunnel device, sysctls, table. Idempotent; takes over what an earlier process
   * left without touching its connections.
   * @param ingress as in MeshState; a state with another one moves the node by itself
   * @throws when the kernel lacks a feature or we lack the privileges; the message says which
   */
  start(self: MeshPeer, ingress?: MeshIngress): Promise<void>;

  /**
   * Makes the kernel hold this state, in one transaction; resolves when it does. Serialises calls; a later call
   * replaces one that still waits (both then resolve together). Ignores a state older than the kernel's. A
   * change of endpoints only touches set elements.
   *
   * When a peer goes, or is marked down, resets connections to its tasks, so that clients notice at once. A
   * peer that is down keeps its routes: its kernel may still send clients to tasks of others.
   */
  apply(state: MeshState): Promise<void>;

  /**
   * As `apply`, for what changed since the state that the kernel holds: costs as much as what the delta names, however
   * much else there is.
   * @returns false, having done nothing, when only a whole state will do: the delta has another base, changes nodes,
   *   or something failed before
   */
  change(delta: MeshDelta): Promise<boolean>;

  /** Generation of the last state that this process made the kernel hold; 0 before the first. */
  readonly generation: number;

  /**
   * Gives a task its addresses and links before its first instruction. May be repeated with the same task,
   * and then renews everything.
   * @throws when one of its host ports belongs to another task, a program of the host or the daemon itself
   */
  attach(task: TaskAttachment): Promise<void>;

  /**
   * Takes over a task that an earlier process attached, with the same value: as `attach`, but leaves links that
   * exist untouched, with their connections. Comes after `retain`.
   * @throws as `attach`, when its links have to be made again
   */
  adopt(task: TaskAttachment): Promise<void>;

  /** Removes a task's links, and the connections to it. Ignores unknown tasks. */
  detach(taskId: string): Promise<void>;

  /** After a restart: removes what belongs to other tasks; those named keep theirs untouched. */
  retain(taskIds: ReadonlySet<string>): Promise<void>;

  /**
   * How many TCP connections the task still has on these ports, at its addresses on the mesh: a drain waits
   * for them. Counts half-closed ones that may still send. UDP has none. 0 if the task is gone.
   */
  connections(task: TaskSockets): Promise<number>;

  /** Whether the task listens on all of these ports (TCP) or has bound them (UDP); cannot see SCTP. */
  listens(task: TaskSockets): Promise<boolean>;

  /**
   * Whether clients of IPv6 can be led to the task: it does the same by sockets of IPv6, and the node has IPv6.
   * From then on its host ports are. Its other nodes learn it by the state, see `MeshEndpoint.ipv6`.
   */
  servesIpv6(task: TaskSockets): Promise<boolean>;

  /**
   * Published ports that this node leaves alone, or serves in part: a program of the host has them, or its own
   * daemon needs them. Each comes back by itself within seconds once its port is free.
   */
  readonly conflicts: readonly PortConflict[];

  /**
   * To which nodes packets do not get through the tunnel, or only small ones. Undefined while this node does not
   * look, as without a tunnel: then the others do not look at the path to it, either.
   */
  readonly paths: NodePaths | undefined;

  /** Calls the listener after each change of `paths`. @returns ends that */
  watchPaths(listener: () => void): () => void;

  /** From which this host's own packets come over IPv6; empty while nothing is led over IPv6. */
  readonly ipv6Addresses: readonly string[];

  /** Calls the listener after each change of `conflicts` or `ipv6Addresses`. @returns ends that */
  watchConflicts(listener: () => void): () => void;

  /**
   * Where this node leads a new connection, from what it last wrote, not from the kernel.
   * @param local the host's addresses
   * @throws RangeError for a query that this node cannot answer; the message says what to do
   */
  trace(query: MeshTraceQuery, local: ReadonlySet<string>): Promise<MeshTrace>;

  /** What other nodes need to encrypt what they send to this one; undefined when it cannot encrypt. */
  readonly encryption: MeshEncryption | undefined;

  /** Calls the listener after each change of `encryption`. @returns ends that */
  watchEncryption(listener: () => void): () => void;

  /** Goes over to another key pair; connections go on. Ignored by a node that cannot encrypt. */
  changeKeys(keys: TunnelKeyPair): Promise<void>;

  /**
   * Calls the listener when clients of a task were refused. What limits refused on a node without a task of the
   * port is only logged.
   */
  watchRefusals(listener: (refusals: TaskRefusals) => void): () => void;

  /** `keep` leaves the kernel as it is: traffic continues while the daemon restarts. */
  close(options: { readonly keep: boolean }): Promise<void>;
}

export interface MeshOptions {
  /** `auto`: nftables with root if the kernel has it, else userspace; ipvs only when it is asked for. */
  readonly backend: 'auto' | MeshBackendName;
  /** UDP port of the tunnel, 1024–49151, the same on all nodes. Default 4789. */
  readonly dataPathPort?: number;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly kernel: Kernel;
  readonly sockets: Sockets;
  /** Without it, the node carries no encrypted networks. */
  readonly encryption?: EncryptionOptions | undefined;
  /** Answers tasks on overlay networks; absent: they have no names. Unused by userspace. */
  readonly resolver?: ResolverProcess;
  /** 0 to 1, as `Math.random`. */
  readonly random: () => number;
  /** How often nftables checks whether somebody flushed our table, ms. Default 15000. */
  readonly checkIntervalMs?: number;
  /** What this node's daemon itself listens on, or will as a manager: the mesh never touches it. */
  readonly ownPorts?: () => Iterable<PortKey>;
  /** Addresses on which the userspace backend listens. Default `0.0.0.0` and `::`. */
  readonly bindAddresses?: readonly string[];
  /** Userspace: forgets a UDP client after this long without a packet, ms. Default 60000. */
  readonly udpIdleMs?: number;
}
