import type { Metric } from '@swarm/raft';
import type { NodeKind, Proof, Trust } from '@swarm/identity';
import type { Authority, Strangers } from '../authority/index.js';
import type { NodeSocket } from '../dispatcher/node-socket.js';
import type { MemberInstances } from './member-instances.js';
import type { NodeAddresses } from './node-addresses.js';
import type { NodeRoute } from './node-routes.js';
import type { StandingConnections } from './standing.js';

/** An admitted node and its address. */
export interface Admitted {
  readonly nodeId: string;
  readonly kind: NodeKind;
  readonly remoteAddress: string;
}

/** What a manager serves to nodes. The port adds Raft's own connections, and the API of its node. */
export interface PortRoutes {
  readonly trust: () => Trust;
  readonly addresses: Pick<NodeAddresses, 'roleAt' | 'see'>;
  readonly authority: Authority;
  readonly standing: StandingConnections;
  /** Nodes of this cluster's CA that the port turned away because the store does not know them. */
  readonly strangers: Pick<Strangers, 'note'>;
  /** Tells a manager from its copy. */
  readonly instances: Pick<MemberInstances, 'check' | 'opened'>;
  /** Finds the route of a small JSON request among nodes; undefined for other paths. */
  node(method: string, path: string): NodeRoute | undefined;
  dispatcher(socket: NodeSocket, peer: Admitted & { readonly protocol: number }): void;
  /** Takes note of a node whose certificate was outside of its time when it asked for a session. */
  expired(proof: Proof): void;
}

/** Where nodes reach a manager: port 2377 with its certificate, or what replaces it in a simulation. */
export interface NodePort {
  /** @throws ApiError FAILED_PRECONDITION when the port is taken, INVALID_ARGUMENT */
  listen(): Promise<void>;
  /** Metrics for observers. */
  metrics(): readonly Metric[];
  /** Uses a renewed certificate for connections made from now on. */
  renew(): void;
  /** Cuts every connection; resolves when the port is free. */
  close(): Promise<void>;
}
