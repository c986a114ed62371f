import type { Message } from './core/message.js';
import { MessageType } from './core/message.js';
import type { CoreStatus } from './core/raw-node.js';
import { Role } from './core/raft.js';

/** Event names of etcd's trace, which its TLA+ specification (Traceetcdraft.tla) is checked with. */
export type TraceEventName =
  | 'InitState'
  | 'BecomeFollower'
  | 'BecomeCandidate'
  | 'BecomeLeader'
  | 'Commit'
  | 'Replicate'
  | 'ChangeConf'
  | 'ApplyConfChange'
  | 'Ready'
  | 'SendAppendEntriesRequest'
  | 'ReceiveAppendEntriesRequest'
  | 'SendAppendEntriesResponse'
  | 'ReceiveAppendEntriesResponse'
  | 'SendRequestVoteRequest'
  | 'ReceiveRequestVoteRequest'
  | 'SendRequestVoteResponse'
  | 'ReceiveRequestVoteResponse'
  | 'SendSnapshot'
  | 'ReceiveSnapshot';

/** A message as the trace has it. */
export interface TraceMessage {
  readonly type: string;
  readonly term: number;
  readonly from: string;
  readonly to: string;
  readonly index: number;
  readonly logTerm: number;
  readonly commit: number;
  readonly entries: number;
  readonly reject: boolean;
  readonly rejectHint: number;
}

/** One state transition of one member, with its state after it. One a line of NDJSON, as it is. */
export interface TraceEvent {
  readonly name: TraceEventName;
  readonly nid: string;
  readonly role: string;
  readonly state: {
    readonly term: number;
    readonly vote: string;
    readonly commit: number;
    readonly applied: number;
  };
  /** Last index of the log. */
  readonly log: number;
  /** Voters: incoming, outgoing. */
  readonly conf: readonly [readonly string[], readonly string[]];
  readonly msg?: TraceMessage;
}

export type TraceSink = (event: TraceEvent) => void;

const ROLES: Readonly<Record<Role, string>> = {
  [Role.Follower]: 'StateFollower',
  [Role.PreCandidate]: 'StatePreCandidate',
  [Role.Candidate]: 'StateCandidate',
  [Role.Leader]: 'StateLeader',
};

const KINDS: Readonly<Record<number, readonly [type: string, event: string]>> = {
  [MessageType.Append]: ['MsgApp', 'AppendEntriesRequest'],
  [MessageType.AppendResponse]: ['MsgAppResp', 'AppendEntriesResponse'],
  [MessageType.Heartbeat]: ['MsgHeartbeat', 'AppendEntriesRequest'],
  [MessageType.HeartbeatResponse]: ['MsgHeartbeatResp', 'AppendEntriesResponse'],
  [MessageType.Vote]: ['MsgVote', 'RequestVoteRequest'],
  [MessageType.VoteResponse]: ['MsgVoteResp', 'RequestVoteResponse'],
  [MessageType.Snapshot]: ['MsgSnap', 'Snapshot'],
};

/**
 * Tells of a node's transitions. It looks at the core after each step it took, so a transition is told
 * after the message that caused it and before what is sent because of it. Pre-votes, transfers and
 * reads are not part of the specification and leave no event.
 */
export class Tracer {
  readonly #sink: TraceSink;
  readonly #status: () => CoreStatus;
  #last: Pick<CoreStatus, 'role' | 'term' | 'commit' | 'lastIndex'>;

  constructor(sink: TraceSink, status: () => CoreStatus) {
    this.#sink = sink;
    this.#status = status;
    this.#last = status();
    this.#tell('InitState');
  }

  /** Before the core sees it. */
  received(message: Message): void {
    this.#message('Receive', message);
  }

  sent(message: Message): void {
    this.#message('Send', message);
  }

  ready(): void {
    this.#tell('Ready');
  }

  /** This member, as leader, put a change into its log. */
  confChange(): void {
    this.#tell('ChangeConf');
  }

  confApplied(): void {
    this.#tell('ApplyConfChange');
  }

  /** After anything that may have moved the core. */
  moved(): void {
    const now = this.#status();
    const last = this.#last;
    this.#last = now;
    if (now.role !== last.role || now.term !== last.term) {
      if (now.role === Role.Candidate) this.#tell('BecomeCandidate');
      else if (now.role === Role.Leader) this.#tell('BecomeLeader');
      else if (now.role === Role.Follower) this.#tell('BecomeFollower');
    }
    if (now.role === Role.Leader && now.lastIndex > last.lastIndex) this.#tell('Replicate');
    if (now.commit > last.commit) this.#tell('Commit');
  }

  #message(way: 'Send' | 'Receive', message: Message): void {
    const known = KINDS[message.type];
    if (known === undefined) return;
    const [type, event] = known;
    this.#tell(`${way}${event}` as TraceEventName, {
      type,
      term: message.term,
      from: String(message.from),
      to: String(message.to),
      // Of a heartbeat's answer it is no index of the log.
      index: message.type === MessageType.HeartbeatResponse ? 0 : message.index,
      logTerm: message.logTerm,
      commit: message.commit,
      entries: message.entries.length,
      reject: message.reject,
      rejectHint: message.rejectHint,
    });
  }

  #tell(name: TraceEventName, msg?: TraceMessage): void {
    const { id, role, term, vote, commit, applied, lastIndex, conf } = this.#status();
    this.#sink({
      name,
      nid: String(id),
      role: ROLES[role],
      state: { term, vote: String(vote), commit, applied },
      log: lastIndex,
      conf: [conf.voters.map(String), conf.votersOutgoing.map(String)],
      ...(msg !== undefined && { msg }),
    });
  }
}
