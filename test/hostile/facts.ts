/**
 * What an attacker may know about the cluster. None of it is secret, and the worst attacker knows all of
 * it.
 */
export interface Facts {
  readonly clusterId: string;
  readonly managers: readonly {
    readonly nodeId: string;
    readonly raftId: number;
    /** `host:port`. */
    readonly address: string;
  }[];
  /** Nodes whose keys no attacker has. */
  readonly nodes: readonly string[];
  readonly services: readonly string[];
  /** Tasks on other nodes. */
  readonly tasks: readonly string[];
  readonly networks: readonly string[];
  /** Addresses of nodes by id, where the endpoints of their tasks may be. */
  readonly addresses: Readonly<Record<string, string>>;
}

/** Facts, and what the attacker learns during the attack. */
export interface Knowledge extends Facts {
  /** Tasks that managers gave the attacker's own nodes, by node, newest last. */
  readonly ownTasks: Record<string, readonly string[]>;
  /** The newest mesh generation that managers sent each of them. */
  readonly generations: Record<string, number>;
  /** `resultsIn` of the last assignments in the node's newest session. */
  readonly assigned: Record<string, number>;
  /** The node whose certificate the next messages use. */
  speaker: string;
  /** Log subscriptions that managers opened on the attacker's nodes. */
  subscriptions: readonly string[];
  /** Certificate requests of its own, PEM. */
  readonly requests: readonly string[];
}

/** How many of the newest facts an attacker remembers: older tasks have ended. */
export const LEARNT_LIMIT = 3;

/** Tasks of the speaking node. */
export function tasksOfSpeaker({ ownTasks, speaker }: Knowledge): readonly string[] {
  return ownTasks[speaker] ?? [];
}
