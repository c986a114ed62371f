/** What clients do: see client.mts. */
export type Kind = 'one' | 'keep' | 'half' | 'long' | 'udp';

/** A request or connection that ended otherwise than it should, or a UDP flow that was silent. Times in ms since 1970. */
export interface Failure {
  readonly client: string;
  readonly kind: Kind;
  /** The node's address, or the name of the service. */
  readonly entry: string;
  readonly id: string;
  readonly start: number;
  /** When the connection was established, if it was. */
  readonly connected?: number;
  readonly end: number;
  /** The task that has it, as far as the client knows. */
  readonly task?: string;
  readonly error: string;
}

/** Since a client began, by `kind entry`. */
export interface Counts {
  readonly client: string;
  readonly counts: Readonly<Record<string, number>>;
}

/** A line of a server's file. */
export interface ServerNote {
  readonly task: string;
  readonly node: string;
  readonly at: number;
  readonly got?: string;
  readonly is?: 'up' | 'stopping' | 'ended';
}

/** A time in which a node was without power, or cut off. */
export interface Outage {
  readonly node: string;
  /** Whether it was the leader: the next one gives all nodes time to come back before it gives up on them. */
  readonly led: boolean;
  readonly from: number;
  /** Healed, or its daemon answers. */
  readonly back: number;
  /** Ready again, and what it was told has settled. */
  readonly to: number;
}

/** A task that was killed. */
export interface Death {
  readonly task: string;
  readonly at: number;
}
