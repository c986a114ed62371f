/** What `GET /x/raft/status` answers: the state of the Raft member on the node that answers. */
export interface RaftStatusReply {
  readonly clusterId: string;
  readonly id: number;
  readonly role: string;
  readonly term: number;
  readonly leader?: RaftMember | undefined;
  readonly commit: number;
  readonly applied: number;
  readonly firstIndex: number;
  readonly lastIndex: number;
  /** How much longer a leader may read without asking a quorum; 0 when it must ask. */
  readonly leaseRemainingMs: number;
  readonly members: readonly {
    readonly info: RaftMember;
    readonly role: 'voter' | 'learner';
    /** Known to the leader; 0 and false on other members. */
    readonly match: number;
    readonly reachable: boolean;
  }[];
  readonly removed: readonly number[];
}

export interface RaftMember {
  readonly id: number;
  /** `host:port` of the member's transport. */
  readonly address: string;
  readonly nodeId: string;
}
