import { ConfChangeOp, decodeConfChange } from '../core/conf-change.js';
import type { Entry } from '../core/types.js';

const WORDS: Readonly<Record<ConfChangeOp, string>> = {
  [ConfChangeOp.AddVoter]: 'voter',
  [ConfChangeOp.AddLearner]: 'learner',
  [ConfChangeOp.Remove]: 'remove',
  [ConfChangeOp.Update]: 'update',
};

/** Describes a membership change in words: `voter 12 (198.18.0.11:2377, node abc); remove 13`. */
export function describeConfChange({ data }: Pick<Entry, 'data'>): string {
  const { changes } = decodeConfChange(data);
  if (changes.length === 0) return 'leave the joint configuration';
  return changes
    .map(({ op, id, info }) => {
      const who = info === undefined ? '' : ` (${info.address}, node ${info.nodeId})`;
      return `${WORDS[op]} ${id}${who}`;
    })
    .join('; ');
}
