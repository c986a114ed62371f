import { snapshotAt } from '../../src/contract/sample-log.js';
import {
  type AppendMessage,
  type HeartbeatMessage,
  type Message,
  MessageType,
  type SnapshotMessage,
} from '../../src/core/message.js';
import type { Index, MemberId, SnapshotMeta, Term } from '../../src/core/types.js';

export type MessageOf<T extends MessageType> = Extract<Message, { readonly type: T }>;
type PartOf<M> = M extends Message ? Partial<Omit<M, 'type' | 'from' | 'to'>> : never;

const CAMPAIGN = { lastIndex: 0, lastTerm: 0, force: false };
const BALLOT = { granted: true, commit: 0, commitTerm: 0 };
const ACCEPTED = { rejected: false, match: 0 };
const REJECTED = { previousIndex: 0, hintIndex: 0, hintTerm: 0 };

const SAYS_NOTHING: Readonly<Record<MessageType, object>> = {
  [MessageType.PreVote]: CAMPAIGN,
  [MessageType.PreVoteResponse]: BALLOT,
  [MessageType.Vote]: CAMPAIGN,
  [MessageType.VoteResponse]: BALLOT,
  [MessageType.Append]: { previousIndex: 0, previousTerm: 0, entries: [], commit: 0 },
  [MessageType.AppendResponse]: ACCEPTED,
  [MessageType.Heartbeat]: { match: 0, commit: 0, round: 0 },
  [MessageType.HeartbeatResponse]: { promiseMs: 0, round: 0 },
  [MessageType.Snapshot]: {},
  [MessageType.TimeoutNow]: {},
  [MessageType.ReadIndex]: { context: 0 },
  [MessageType.ReadIndexResponse]: { context: 0, index: 0 },
  [MessageType.TransferLeader]: {},
};

/** A message with these fields; the others are empty. */
export function message<T extends MessageType>(
  type: T,
  from: MemberId,
  to: MemberId,
  fields: PartOf<MessageOf<T>>,
): MessageOf<T> {
  const rejects = 'rejected' in fields && fields.rejected === true;
  const rest = rejects ? REJECTED : SAYS_NOTHING[type];
  return { type, from, to, term: 0, ...rest, ...fields } as unknown as MessageOf<T>;
}

export function heartbeat(from: MemberId, to: MemberId, round = 0): HeartbeatMessage {
  return message(MessageType.Heartbeat, from, to, { term: 1, round });
}

export function announcement(
  from: MemberId,
  to: MemberId,
  term: Term,
  snapshot: SnapshotMeta = snapshotAt(50, 3),
): SnapshotMessage {
  return { type: MessageType.Snapshot, from, to, term, snapshot };
}

/** Reports whether an answer refuses a vote or an Append. @throws for any other message */
export function refuses(answer: Message | undefined): boolean {
  switch (answer?.type) {
    case MessageType.PreVoteResponse:
    case MessageType.VoteResponse:
      return !answer.granted;
    case MessageType.AppendResponse:
      return answer.rejected;
    default:
      throw new Error(`not an answer to a vote or an Append: ${JSON.stringify(answer)}`);
  }
}

/** The index up to which an answer says that the logs match. @throws for any other message */
export function matchOf(answer: Message | undefined): Index {
  if (answer?.type === MessageType.AppendResponse && !answer.rejected) return answer.match;
  throw new Error(`not an acceptance: ${JSON.stringify(answer)}`);
}

export function appendsWithEntries(messages: readonly Message[]): AppendMessage[] {
  return messages.flatMap((each) =>
    each.type === MessageType.Append && each.entries.length > 0 ? [each] : [],
  );
}
