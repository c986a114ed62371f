import type { Clock, Logger, ManagerAddress, Need, Node, NodeDescription, Task } from '@swarm/api';
import type { Runtime } from '../runtime/runtime.js';
import type { AgentSocket } from './agent-socket.js';
import type { AgentStorage } from './agent-storage.js';
import type { ManagersStore } from './managers-store.js';
import type { ObjectKind } from './object-kinds.js';
import type { TaskMesh } from './task-mesh.js';

/** Events of the agent for the daemon, in order. `disconnected` may come during a call into the agent. */
export interface AgentEvents {
  /** A session is established. */
  connected?(manager: ManagerAddress): void;
  /** The session ended; the agent tries again by itself. */
  disconnected?(reason: string): void;
  /**
   * An attempt to get a session failed; the agent tries again by itself.
   * @param manager undefined when none is known
   */
  failed?(reason: string, manager: ManagerAddress | undefined): void;
  /** Another daemon runs as this node. The agent starts no tasks until it has a session. */
  copied?(reason: string): void;
  /**
   * The node object (wanted role, labels) and the managers, with each session and each change.
   * @param featureLevel of the cluster; undefined when the session's protocol does not carry it
   */
  node?(node: Node, managers: readonly ManagerAddress[], featureLevel: number | undefined): void;
  /** A manager refused the node for good, because it was removed. The agent stops trying. */
  refused?(reason: string): void;
}

export interface AgentOptions {
  /** From the node's certificate. */
  readonly nodeId: string;
  /** Random, of this run of the daemon. */
  readonly instance: string;
  readonly runtime: Runtime;
  readonly mesh: TaskMesh;
  /** Ids that others of this node have attached to the mesh: their links stay when it starts. Default none. */
  readonly alsoAttached?: () => readonly string[];
  /** Opens a socket to a manager's `/dispatcher`. When it throws, the agent tries the next manager. */
  readonly connect: (manager: ManagerAddress) => AgentSocket;
  /** Remembers managers over restarts. */
  readonly managers: ManagersStore;
  /** Keeps tasks, their statuses and what they need over restarts. The agent closes it. */
  readonly storage: AgentStorage;
  /** Where tunnel packets for this node go; `move` changes it. */
  readonly dataPathAddr: string;
  readonly clock: Clock;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  readonly logger: Logger;
  /** What the node's description has beyond the runtime's: hostname, labels, TLSInfo. */
  readonly description?: Partial<NodeDescription>;
  readonly events?: AgentEvents;
  /** Kinds of objects that tasks need; default: all kinds. */
  readonly kinds?: readonly ObjectKind[];
  /** Which objects a task needs; default: `needsOf`. */
  readonly needs?: (task: Task) => readonly Need[];
}
