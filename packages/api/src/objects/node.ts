import type { TLSInfo } from './cluster.js';
import type { Program } from '../program.js';
import type { NodePaths } from './node-paths.js';
import type { PortConflict } from './port-conflict.js';
import type { ClientVersioned, Labels, Meta, Timestamp } from './common.js';

export type NodeRole = 'worker' | 'manager';
export type NodeAvailability = 'active' | 'pause' | 'drain';
export type NodeState = 'unknown' | 'down' | 'ready' | 'disconnected';

export interface NodeSpec {
  readonly Name?: string;
  readonly Labels: Labels;
  /** The role it should have; `Role` outside the spec is the one its certificate gives it. */
  readonly Role: NodeRole;
  readonly Availability: NodeAvailability;
}

export interface Platform {
  readonly Architecture: string;
  readonly OS: string;
}

export interface Resources {
  readonly NanoCPUs?: number;
  readonly MemoryBytes?: number;
}

/** See MeshEncryption, which has the same under other names. */
export interface NodeEncryption {
  readonly PublicKey: string;
  readonly Epoch: string;
  readonly Means: readonly string[];
}

/** What a node reports about itself. The fields from `Runtime` on are ours; Docker's clients ignore them. */
export interface NodeDescription {
  readonly Hostname: string;
  readonly Platform: Platform;
  readonly Resources: Resources;
  readonly Engine: {
    readonly EngineVersion: string;
    readonly Labels?: Labels;
    readonly Plugins?: readonly { readonly Type: string; readonly Name: string }[];
  };
  readonly TLSInfo?: TLSInfo;
  /** `docker` or `process`. */
  readonly Runtime?: string;
  /**
   * What tasks can ask of the runtime: words of `RuntimeCapability`, or those of newer versions. Absent on
   * nodes of older versions; see `runtimeCapabilities`.
   */
  readonly RuntimeCapabilities?: readonly string[];
  /** `nftables` or `userspace`. */
  readonly MeshBackend?: string;
  /** The program it runs; of a manager that is down, the one it ran last. */
  readonly Program?: Program;
  /** Where it listens for other nodes while it is a manager, TCP. Absent on nodes of older versions. */
  readonly ListenPort?: number;
  /** What others need to encrypt what they send to it. Absent when it cannot encrypt. */
  readonly Encryption?: NodeEncryption;
  /** Published ports that other nodes serve and this one does not. */
  readonly PortConflicts?: readonly PortConflict[];
  /** Absent while it does not look at its paths: without a tunnel, while it starts, on nodes of older versions. */
  readonly Paths?: NodePaths;
  /** From which its own packets come over IPv6. Absent on nodes without IPv6, and of older versions. */
  readonly Ipv6Addresses?: readonly string[];
}

export interface NodeStatus {
  readonly State: NodeState;
  readonly Message?: string;
  /**
   * Where the node connects from. The leader's own agent connects over loopback, so for it this is what it
   * reports.
   */
  readonly Addr: string;
  /** The protocol of its session with the leader. Ours. */
  readonly Protocol?: number;
  /** The daemon that has its session, see `AgentHello.instance`. Ours. */
  readonly Instance?: string;
}

export interface ManagerStatus {
  readonly Leader?: boolean;
  readonly Reachability: 'unknown' | 'unreachable' | 'reachable';
  readonly Addr: string;
}

/** The node's place in the mesh: set by the allocator, kept for the node's life. */
export interface NodeMesh {
  /** NODE_INDEX_FIRST to NODE_INDEX_LAST; names the node in packet marks, tunnel MACs and zones. */
  readonly Index: number;
  /**
   * Where tunnel packets go (`--data-path-addr`, else the advertised address): no two living nodes share
   * it. Empty while the node has none; `Status.Message` then says why. With the userspace backend it is
   * `Status.Addr`, where the node's tasks are reached.
   */
  readonly Address: string;
  /** The node's own block of the ingress network: `10.240.3.0/24`; its first address is the node's. */
  readonly Subnet: string;
}

export interface Node extends Meta, ClientVersioned {
  readonly Spec: NodeSpec;
  readonly Description?: NodeDescription;
  readonly Status: NodeStatus;
  /** Computed when read, from Raft; not stored. */
  readonly ManagerStatus?: ManagerStatus;
  /** The role its certificate gives it now. */
  readonly Role: NodeRole;
  readonly Mesh?: NodeMesh;
  /** Raft member id while it is a manager. Stored, not shown. */
  readonly RaftID?: number;
  /** Address managers reach it at, `host:port`; set by manager nodes. */
  readonly ManagerAddr?: string;
  readonly CertificateExpiresAt?: Timestamp;
}
