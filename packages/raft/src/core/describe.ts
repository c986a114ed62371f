import { type Message, MessageType } from './message.js';
import type { CoreStatus } from './status.js';
import type { ConfState, Entry } from './types.js';

/** Stable, short text for scenario tests and logs. The same state always gives the same text. */

const NAMES = new Map<number, string>(
  Object.entries(MessageType).map(([name, value]) => [value, name]),
);

/** `term/index`, with `!` for a membership change. */
export function describeEntry(entry: Entry): string {
  return `${entry.term}/${entry.index}${entry.kind === 0 ? '' : '!'}`;
}

/** For example `1>2 Append term 3 after 2/7 [3/8 3/9] commit 7`. */
export function describeMessage(message: Message): string {
  const { from, to, type, term } = message;
  const head = `${from}>${to} ${NAMES.get(type) ?? `type ${type}`} term ${term}`;
  const rest = describeFields(message);
  return rest === '' ? head : `${head} ${rest}`;
}

function describeFields(message: Message): string {
  switch (message.type) {
    case MessageType.Append: {
      const { previousIndex, previousTerm, entries, commit } = message;
      const list = entries.map(describeEntry).join(' ');
      return `after ${previousTerm}/${previousIndex} [${list}] commit ${commit}`;
    }
    case MessageType.PreVote:
    case MessageType.Vote:
      return `last ${message.lastTerm}/${message.lastIndex}${message.force ? ' force' : ''}`;
    case MessageType.AppendResponse: {
      if (!message.rejected) return `to ${message.match}`;
      return `reject ${message.previousIndex} hint ${message.hintTerm}/${message.hintIndex}`;
    }
    case MessageType.PreVoteResponse:
    case MessageType.VoteResponse:
      return message.granted ? 'yes' : 'no';
    case MessageType.Heartbeat:
      return `match ${message.match} commit ${message.commit}${describeContext(message.round)}`;
    case MessageType.HeartbeatResponse: {
      const promise = message.promiseMs > 0 ? ` promise ${message.promiseMs} ms` : '';
      return `${promise}${describeContext(message.round)}`.trimStart();
    }
    case MessageType.Snapshot:
      return `at ${message.snapshot === undefined ? message.applied : message.snapshot.index}`;
    case MessageType.ReadIndex:
      return describeContext(message.context).trimStart();
    case MessageType.ReadIndexResponse:
      return `at ${message.index}${describeContext(message.context)}`;
    case MessageType.TimeoutNow:
    case MessageType.TransferLeader:
      return '';
  }
}

function describeContext(context: number): string {
  return context > 0 ? ` context ${context}` : '';
}

/** For example `(1 2 3)`, joint `(1 2 4)&(1 2 3)`, with learners `(1) learners (2)`. */
export function describeConf(conf: ConfState): string {
  const list = (ids: readonly number[]) => `(${ids.join(' ')})`;
  let text = list(conf.voters);
  if (conf.votersOutgoing.length > 0) text += `&${list(conf.votersOutgoing)}`;
  if (conf.learners.length > 0) text += ` learners ${list(conf.learners)}`;
  if (conf.learnersNext.length > 0) text += ` then ${list(conf.learnersNext)}`;
  return conf.autoLeave ? `${text} auto` : text;
}

export function describeStatus(status: CoreStatus): string {
  const { id, role, term, leader, commit, applied, lastIndex, conf, members } = status;
  const head = `${id} ${role} term ${term} leader ${leader} commit ${commit} applied ${applied}`;
  const lines = [`${head} last ${lastIndex} ${describeConf(conf)}`];
  if (role === 'leader') {
    for (const { id: member, state, match, next } of members) {
      lines.push(`  ${member} ${state} match ${match} next ${next}`);
    }
  }
  return lines.join('\n');
}
