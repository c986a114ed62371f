/** What an attacker may know of the cluster: nothing of it is secret, and the worst one knows it all. */
export interface Facts {
  readonly clusterId: string;
  readonly managers: readonly {
    readonly nodeId: string;
    readonly raftId: number;
    /** `host:port`. */
    readonly address: string;
  }[];
  /** Nodes that no attacker has the key of. */
  readonly nodes: readonly string[];
  readonly services: readonly string[];
  /** Tasks on nodes of others. */
  readonly tasks: readonly string[];
  readonly networks: readonly string[];
  /** Where nodes are, by their ids: that is where endpoints of their tasks may be. */
  readonly addresses: Readonly<Record<string, string>>;
}

/** Facts, and what the attacker learns while it is at it. */
export interface Knowledge extends Facts {
  /** Tasks that managers gave the attacker's own nodes, by node, newest last. */
  readonly ownTasks: Record<string, readonly string[]>;
  /** Newest mesh that they were sent, by node. */
  readonly generations: Record<string, number>;
  /** `resultsIn` of the last assignments in the node's newest session. */
  readonly assigned: Record<string, number>;
  /** Node whose certificate the next messages are sent with. */
  speaker: string;
  /** Log subscriptions that managers asked the attacker's nodes for. */
  subscriptions: readonly string[];
  /** Certificate requests of its own, PEM. */
  readonly requests: readonly string[];
}

/** Of what an attacker learns, the newest: older tasks have ended. */
export const LEARNT_LIMIT = 3;

/** Tasks of the node that speaks. */
export function tasksOfSpeaker({ ownTasks, speaker }: Knowledge): readonly string[] {
  return ownTasks[speaker] ?? [];
}
