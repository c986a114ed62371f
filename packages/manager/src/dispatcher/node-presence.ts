import { isTunnelled, type Logger, type Node, type NodeState } from '@swarm/api';
import { hostAddress } from '../allocator/node-mesh.js';
import { asOfLevel, levelOf } from '../store/feature-levels.js';
import type { View } from '../store/store.js';
import { DataPathClaims } from './data-path-claims.js';
import {
  type AgentView,
  dataPathClaim,
  displaced,
  observedAway,
  observedReady,
} from './node-states.js';

/** State of a node without a session, when this leader found it out and did not read it from the store. */
export type AwayState = Extract<NodeState, 'down' | 'disconnected'>;

export interface NodePresenceOptions {
  readonly view: View;
  readonly logger: Logger;
  /** The node's agent, if it has a session. */
  readonly agent: (nodeId: string) => AgentView | undefined;
  /** Another node gained or lost its data path address: `observe` differs from what is stored. */
  readonly changed: (nodeId: string) => void;
}

/** What this leader knows of nodes beyond the store: who is away, and who has which data path address. */
export class NodePresence {
  readonly #options: NodePresenceOptions;
  readonly #away = new Map<string, AwayState>();
  readonly #claims = new DataPathClaims();

  constructor(options: NodePresenceOptions) {
    this.#options = options;
  }

  /** Takes over what a node had before this leader heard of it. */
  restore(node: Node): void {
    if (node.Status.State !== 'ready' && node.Status.State !== 'disconnected') return;
    this.#claims.set(node.ID, {
      from: hostAddress(node.Status.Addr),
      address: isTunnelled(node.Description) ? hostAddress(node.Mesh?.Address) : undefined,
    });
  }

  isAway(nodeId: string): boolean {
    return this.#away.has(nodeId);
  }

  /** The node's agent said hello. */
  arrived(nodeId: string): void {
    this.#away.delete(nodeId);
    this.claim(nodeId);
  }

  /** The node's session ended. It keeps its address for now, but not from a node that connects from there. */
  disconnected(nodeId: string): void {
    for (const other of this.#claims.disconnected(nodeId)) this.#options.changed(other);
  }

  /** The agent said goodbye. */
  saidGoodbye(nodeId: string): void {
    this.#away.set(nodeId, 'disconnected');
  }

  /** The node was silent for too long; its data path address is free. */
  down(nodeId: string): void {
    this.#away.set(nodeId, 'down');
    this.claim(nodeId);
  }

  /** The node is removed. */
  forget(nodeId: string): void {
    this.#away.delete(nodeId);
    this.claim(nodeId);
  }

  /** Takes note of what the node's agent says about its data path address; without an agent it has none. */
  claim(nodeId: string): void {
    const { view, logger, agent: agentOf, changed } = this.#options;
    const node = view.get('node', nodeId);
    const agent = agentOf(nodeId);
    const claim =
      node === undefined || agent === undefined ? undefined : dataPathClaim(node, agent);
    const before = this.#claims.inTheWayOf(nodeId);
    for (const other of this.#claims.set(nodeId, claim)) changed(other);
    const holder = this.#claims.inTheWayOf(nodeId);
    if (holder === undefined || holder === before) return;
    const { address } = claim!;
    logger.warn(
      { nodeId, address, holder },
      `node ${nodeId} gets no place in the mesh: its data path address ${address} belongs to node ${holder}`,
    );
  }

  /** Returns the node as this leader sees it now. */
  observe(node: Node): Node {
    const { view, agent: agentOf } = this.#options;
    const agent = agentOf(node.ID);
    const holder = this.#claims.inTheWayOf(node.ID);
    if (agent !== undefined) {
      return asOfLevel('node', observedReady(node, agent, holder), levelOf(view.cluster()));
    }
    if (holder !== undefined) return displaced(node);
    const away = this.#away.get(node.ID);
    return away === undefined ? node : observedAway(node, away);
  }
}
