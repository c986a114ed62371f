import type { PortProtocol } from '../objects/service.js';

/**
 * Ports that nodes of the userspace backend give to tasks, which share their host's network: below the
 * kernel's ephemeral range (32768…). An endpoint of such a node has one of these ports or is left out.
 */
export const SHARED_PORT_FIRST = 20_000;
export const SHARED_PORT_LAST = 29_999;

/** A node as the mesh sees it. */
export interface MeshPeer {
  readonly nodeId: string;
  /** Node.Mesh.Index. */
  readonly index: number;
  /**
   * Where tunnel packets for it go: an address that no other peer has. Of a userspace node: where its
   * tasks are reached, which nodes on one host may share.
   */
  readonly address: string;
  /** Its tasks' addresses, CIDR: the block of its index in the ingress network. */
  readonly subnet: string;
  /**
   * It sends no heartbeats. Connections to its tasks are reset, so that clients do not wait for a dead
   * host; its routes stay, because its kernel may still forward clients to other nodes' tasks.
   */
  readonly down?: boolean;
  /** It runs the userspace backend: no traffic is tunnelled to it. */
  readonly userspace?: boolean;
}

/** One task behind a published port. */
export interface MeshEndpoint {
  readonly taskId: string;
  readonly nodeId: string;
  /**
   * The task's address on the ingress network, from its node's block, without prefix length. On a userspace
   * node: the node's address.
   */
  readonly address: string;
  /** The port it listens on; on a userspace node SHARED_PORT_FIRST to SHARED_PORT_LAST. */
  readonly port: number;
}

/** A port published in ingress mode: reachable on every node. */
export interface MeshPort {
  readonly protocol: PortProtocol;
  readonly publishedPort: number;
  readonly serviceId: string;
  /** When empty, connections are refused at once. */
  readonly endpoints: readonly MeshEndpoint[];
}

/**
 * Everything that a node's mesh must do. A pure function of the replicated state as of `generation`, the
 * log index that last changed it, so generations of different leaders are comparable.
 */
export interface MeshState {
  readonly generation: number;
  /** Nodes with a place in the mesh, the receiver included. */
  readonly peers: readonly MeshPeer[];
  readonly ports: readonly MeshPort[];
}

/** What changed since generation `base`; `base` 0 replaces everything. */
export interface MeshDelta {
  readonly base: number;
  readonly generation: number;
  readonly peers: readonly MeshPeer[];
  readonly removedPeers: readonly string[];
  readonly ports: readonly MeshPort[];
  readonly removedPorts: readonly {
    readonly protocol: PortProtocol;
    readonly publishedPort: number;
  }[];
}
