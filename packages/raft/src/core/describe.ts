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
  const { from, to, type, term, index, logTerm, commit, entries, reject, rejectHint } = message;
  const words = [`${from}>${to}`, NAMES.get(type) ?? `type ${type}`, `term ${term}`];
  switch (type) {
    case MessageType.Append:
      words.push(`after ${logTerm}/${index}`, `[${entries.map(describeEntry).join(' ')}]`);
      words.push(`commit ${commit}`);
      break;
    case MessageType.PreVote:
    case MessageType.Vote:
      words.push(`last ${logTerm}/${index}`);
      if (message.force) words.push('force');
      break;
    case MessageType.AppendResponse:
      words.push(reject ? `reject ${index} hint ${logTerm}/${rejectHint}` : `to ${index}`);
      break;
    case MessageType.PreVoteResponse:
    case MessageType.VoteResponse:
      words.push(reject ? 'no' : 'yes');
      break;
    case MessageType.Heartbeat:
      words.push(`match ${index} commit ${commit}`);
      break;
    case MessageType.HeartbeatResponse:
      if (index > 0) words.push(`promise ${index} ms`);
      break;
    case MessageType.Snapshot:
    case MessageType.ReadIndexResponse:
      words.push(`at ${index}`);
      break;
    default:
      break;
  }
  if (message.context > 0) words.push(`context ${message.context}`);
  return words.join(' ');
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
