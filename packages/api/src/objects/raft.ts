/** What `GET /x/raft/status` answers: the Raft member that runs on the node that is asked. */
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
  /** How long a leader may still read without asking a quorum; 0 when it may not. */
  readonly leaseRemainingMs: number;
  readonly members: readonly {
    readonly info: RaftMember;
    readonly role: 'voter' | 'learner';
    /** As the leader knows them; 0 and false on other members. */
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
