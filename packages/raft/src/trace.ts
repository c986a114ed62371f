import { type ConfChange, ConfChangeOp } from './core/conf-change.js';
import type { Message } from './core/message.js';
import { MessageType } from './core/message.js';
import type { CoreStatus } from './core/raw-node.js';
import { Role } from './core/raft.js';
import type { Index, Term } from './core/types.js';

/** Event names of etcd's trace, which its TLA+ specification (Traceetcdraft.tla) checks. */
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

/** A message in a trace. In a received snapshot, `index` and `logTerm` are the snapshot's own. */
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

/** Terms of a log: each run as its first index and its term. */
export interface TraceTerms {
  /** The point where the log starts; entries follow it. */
  readonly start: { readonly index: number; readonly term: number };
  readonly runs: readonly (readonly [first: number, term: number])[];
  readonly last: number;
}

/** What some events carry besides the member's state. */
export interface TraceProperties {
  /** InitState: the log as it was found. */
  readonly terms?: TraceTerms;
  /** ChangeConf, ApplyConfChange: the index of the change's entry. */
  readonly index?: number;
  readonly cc?: {
    /** ChangeConf: the requested changes. */
    readonly changes?: readonly { readonly nid: string; readonly action: string }[];
    /** ApplyConfChange: the voters from now on. */
    readonly newconf?: readonly string[];
  };
}

/**
 * One state transition of one member, with its state after it. Written as it is, as one line of
 * NDJSON.
 */
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
  readonly prop?: TraceProperties;
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

const ACTIONS: Readonly<Record<ConfChangeOp, string>> = {
  [ConfChangeOp.AddVoter]: 'AddNewServer',
  [ConfChangeOp.AddLearner]: 'AddLearner',
  [ConfChangeOp.Remove]: 'RemoveServer',
  [ConfChangeOp.Update]: 'UpdateServer',
};

/** What a tracer observes. */
export interface Traced {
  status(): CoreStatus;
  termAt(index: Index): Term | undefined;
}

/**
 * Reports a node's transitions. Looks at the core after each step, so that it reports a transition
 * after the message that caused it and before whatever is sent because of it. Pre-votes, transfers
 * and reads are not part of the specification and leave no event.
 */
export class Tracer {
  readonly #sink: TraceSink;
  readonly #core: Traced;
  #last: Pick<CoreStatus, 'role' | 'term' | 'commit' | 'firstIndex' | 'lastIndex'>;

  constructor(sink: TraceSink, core: Traced) {
    this.#sink = sink;
    this.#core = core;
    this.#last = core.status();
    this.#tell('InitState', { prop: { terms: this.#terms() } });
  }

  #terms(): TraceTerms {
    const { firstIndex, lastIndex } = this.#last;
    const runs: (readonly [number, number])[] = [];
    for (let index = firstIndex; index <= lastIndex; index++) {
      const term = this.#core.termAt(index)!;
      if (runs.at(-1)?.[1] !== term) runs.push([index, term]);
    }
    const base = firstIndex - 1;
    return { start: { index: base, term: this.#core.termAt(base) ?? 0 }, runs, last: lastIndex };
  }

  /** Call it before the core sees the message. */
  received(message: Message): void {
    this.#message('Receive', message);
  }

  sent(message: Message): void {
    this.#message('Send', message);
  }

  ready(): void {
    this.#tell('Ready');
  }

  /** Reports that this member, as leader, put a change into its log. */
  confChange({ changes }: ConfChange): void {
    const told = changes.map(({ op, id }) => ({ nid: String(id), action: ACTIONS[op] }));
    const index = this.#core.status().lastIndex;
    this.#tell('ChangeConf', { prop: { index, cc: { changes: told } } });
  }

  /** @param index of the change's entry */
  confApplied(index: Index): void {
    const { voters } = this.#core.status().conf;
    this.#tell('ApplyConfChange', { prop: { index, cc: { newconf: voters.map(String) } } });
  }

  /** Call it after anything that may have moved the core. */
  moved(): void {
    const now = this.#core.status();
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
    const { term, from, to } = message;
    const said = { ...SAYS_NOTHING, ...saidBy(message) };
    const msg: TraceMessage = { type, term, from: String(from), to: String(to), ...said };
    this.#tell(`${way}${event}` as TraceEventName, { msg });
  }

  #tell(name: TraceEventName, more: Pick<TraceEvent, 'msg' | 'prop'> = {}): void {
    const { id, role, term, vote, commit, applied, lastIndex, conf } = this.#core.status();
    this.#sink({
      name,
      nid: String(id),
      role: ROLES[role],
      state: { term, vote: String(vote), commit, applied },
      log: lastIndex,
      conf: [conf.voters.map(String), conf.votersOutgoing.map(String)],
      ...more,
    });
  }
}

/** The fields of etcd's messages for which ours have names of their own. */
type Said = Omit<TraceMessage, 'type' | 'term' | 'from' | 'to'>;

const SAYS_NOTHING: Said = {
  index: 0,
  logTerm: 0,
  commit: 0,
  entries: 0,
  reject: false,
  rejectHint: 0,
};

function saidBy(message: Message): Partial<Said> {
  switch (message.type) {
    case MessageType.Append: {
      const { previousIndex: index, previousTerm: logTerm, commit, entries } = message;
      return { index, logTerm, commit, entries: entries.length };
    }
    case MessageType.AppendResponse: {
      if (!message.rejected) return { index: message.match };
      const { previousIndex: index, hintIndex: rejectHint, hintTerm: logTerm } = message;
      return { index, logTerm, reject: true, rejectHint };
    }
    case MessageType.Heartbeat:
      return { index: message.match, commit: message.commit };
    case MessageType.PreVote:
    case MessageType.Vote:
      return { index: message.lastIndex, logTerm: message.lastTerm };
    case MessageType.PreVoteResponse:
    case MessageType.VoteResponse:
      return { index: message.commit, logTerm: message.commitTerm, reject: !message.granted };
    case MessageType.Snapshot: {
      const { snapshot } = message;
      if (snapshot === undefined) return { index: message.applied };
      return { index: snapshot.index, logTerm: snapshot.term };
    }
    default:
      return {};
  }
}
