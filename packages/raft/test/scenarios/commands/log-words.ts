import {
  type ConfChange,
  ConfChangeOp,
  encodeConfChange,
  type MemberChange,
} from '../../../src/core/conf-change.js';
import { type Entry, EntryKind } from '../../../src/core/types.js';

const OPS: Readonly<Record<string, ConfChangeOp>> = {
  '+': ConfChangeOp.AddVoter,
  l: ConfChangeOp.AddLearner,
  '-': ConfChangeOp.Remove,
  u: ConfChangeOp.Update,
};

/** `+4` voter, `l4` learner, `-4` remove, `u4` new address, `leave` the joint configuration. */
export function parseChange(words: readonly string[]): ConfChange {
  if (words.length === 1 && words[0] === 'leave') return { changes: [] };
  return { changes: words.map(parseMemberChange) };
}

function parseMemberChange(word: string): MemberChange {
  const op = OPS[word[0]!];
  const id = Number(word.slice(1));
  if (op === undefined) throw new Error(`not a membership change: ${word}`);
  if (op !== ConfChangeOp.Update) return { op, id };
  return { op, id, info: { id, address: `member-${id}:1`, nodeId: `n${id}` } };
}

/** `1,1,2:+4;-1`: the terms of the entries after `after`, with the change that one holds. */
export function parseLog(text: string | undefined, after: number): Entry[] {
  return (text ?? '')
    .split(',')
    .filter(Boolean)
    .map((word, i) => {
      const [term, change] = word.split(':');
      const index = after + 1 + i;
      if (change === undefined) {
        return { index, term: Number(term), kind: EntryKind.Normal, data: new Uint8Array(0) };
      }
      const data = encodeConfChange(parseChange(change.split(';')));
      return { index, term: Number(term), kind: EntryKind.ConfChange, data };
    });
}
