import type { AllowRule, PortProtocol, ProxyProtocol, RatePeriod } from '../objects/service.js';

/**
 * Ports that nodes of the userspace backend give to tasks, which share their host's network: below the
 * kernel's ephemeral range (32768…). An endpoint of such a node has one of these ports or is left out.
 */
export const SHARED_PORT_FIRST = 20_000;
export const SHARED_PORT_LAST = 29_999;

/** How nodes can encrypt what they send each other. */
export type EncryptionMeansName = 'wireguard' | 'ipsec';

/** What a node has to encrypt with, and others need to do so. */
export interface MeshEncryption {
  /** X25519, base64: 44 characters. */
  readonly publicKey: string;
  /** Names a time during which the node counts its packets; it never uses one twice. */
  readonly epoch: string;
  /** What it can do: of EncryptionMeansName, or words of newer versions. Two nodes use the best that both have. */
  readonly means: readonly string[];
}

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
  /** It answers probes: others look at the path to it. Nodes of older versions drop this. */
  readonly probed?: boolean;
  /** Absent when it cannot encrypt. */
  readonly encryption?: MeshEncryption;
  /** From which its own packets come over IPv6. */
  readonly ipv6Addresses?: readonly string[];
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
  /** Clients of IPv6 are led to it too, at the address that every node derives from `address`. */
  readonly ipv6?: boolean;
  /** Its share of new connections, in proportion to that of the port's others; 0 to 1000. Default 1. */
  readonly weight?: number;
}

/** What each client of a port may do at each node; a client is an IPv4 address or a /64 network of IPv6. */
export interface MeshClientLimits {
  /** At a time. */
  readonly connections?: number;
  /** New ones in each `per`, a second when absent; `burst` of them at once, when absent as many as `rate`. */
  readonly rate?: number;
  readonly per?: RatePeriod;
  readonly burst?: number;
}

/** A port published in ingress mode: reachable on every node. */
export interface MeshPort {
  readonly protocol: PortProtocol;
  readonly publishedPort: number;
  readonly serviceId: string;
  /** When empty, connections are refused at once. */
  readonly endpoints: readonly MeshEndpoint[];
  /** The only address that it is published on. */
  readonly hostIp?: string;
  /** A client gets the same endpoint each time, by its address. */
  readonly affinity?: 'client';
  /** Which endpoints a node leads its clients to: all of them when absent. */
  readonly policy?: 'local' | 'prefer-local';
  readonly limits?: MeshClientLimits;
  /** Tasks get this before the first byte of each connection, whatever the node's backend. */
  readonly proxyProtocol?: ProxyProtocol;
}

/** What tasks of one overlay network find a service by. */
export interface MeshServiceNetwork {
  readonly networkId: string;
  /** At most one address of each family, without prefix length; empty when its name leads to its tasks (dnsrr). */
  readonly vips: readonly string[];
  /** Further names of the service on this network. */
  readonly aliases: readonly string[];
}

/** A service on overlay networks, or one that only some may connect to. */
export interface MeshService {
  readonly serviceId: string;
  readonly name: string;
  readonly networks: readonly MeshServiceNetwork[];
  /** Who may open connections to its tasks; absent: everybody who reaches them. */
  readonly allow?: readonly AllowRule[];
}

/** A task's addresses on one overlay network, without prefix lengths. */
export interface MeshMemberNetwork {
  readonly networkId: string;
  readonly addresses: readonly string[];
}

/** A task that has addresses on overlay networks, from when it has a node until it has ended. */
export interface MeshMember {
  readonly taskId: string;
  readonly nodeId: string;
  /** Empty for a container that belongs to no service. */
  readonly serviceId: string;
  /** What it is found by besides its service: its name (`web.1.ab…`) and its host name, if its spec has one. */
  readonly names: readonly string[];
  readonly networks: readonly MeshMemberNetwork[];
  /** Names and virtual addresses of its service lead to it: it runs, is ready, and is not about to stop. */
  readonly serves: boolean;
  /** Its share of new connections to a virtual address, in proportion to that of the service's others; 0 to 1000. Default 1. */
  readonly weight?: number;
}

/** The network that nodes' blocks are cut from. */
export interface MeshIngress {
  /** IPv4, CIDR. */
  readonly subnet: string;
  /** Largest packet on it, if that is smaller than what the tunnel takes. */
  readonly mtuBytes?: number;
}

/**
 * Everything that a node's mesh must do. A pure function of the replicated state as of `generation`, the
 * log index that last changed it, so generations of different leaders are comparable.
 */
export interface MeshState {
  readonly generation: number;
  /** Absent for INGRESS_SUBNET without an MTU of its own, also from managers of before. */
  readonly ingress?: MeshIngress;
  /** Nodes with a place in the mesh, the receiver included. */
  readonly peers: readonly MeshPeer[];
  readonly ports: readonly MeshPort[];
  /** On overlay networks; managers of before name none. */
  readonly services?: readonly MeshService[];
  readonly members?: readonly MeshMember[];
}

/** What changed since generation `base`; `base` 0 replaces everything. */
export interface MeshDelta {
  readonly base: number;
  readonly generation: number;
  /** As it is at `generation`, whether it changed or not; see MeshState. */
  readonly ingress?: MeshIngress;
  readonly peers: readonly MeshPeer[];
  readonly removedPeers: readonly string[];
  readonly ports: readonly MeshPort[];
  readonly removedPorts: readonly {
    readonly protocol: PortProtocol;
    readonly publishedPort: number;
  }[];
  readonly services?: readonly MeshService[];
  /** Ids of services. */
  readonly removedServices?: readonly string[];
  readonly members?: readonly MeshMember[];
  /** Ids of tasks. */
  readonly removedMembers?: readonly string[];
}

/** Those of the lists that have items: the wire leaves out empty ones that earlier versions do not know. */
export function filled<T extends Readonly<Record<string, readonly unknown[]>>>(
  lists: T,
): Partial<T> {
  return Object.fromEntries(
    Object.entries(lists).filter(([, list]) => list.length > 0),
  ) as Partial<T>;
}
