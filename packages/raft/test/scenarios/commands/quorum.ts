import { strict as assert } from 'node:assert';
import { quorumReached, quorumVote } from '../../../src/core/quorum.js';
import type { ConfState, MemberId } from '../../../src/core/types.js';
import { type Command, type Handlers, ids } from '../command.js';
import { committedByTrying, voteByTrying } from '../brute-force.js';

/**
 * Quorum maths on tables. Compares every answer with one found by trying all possibilities
 * (brute-force.ts); a difference fails the scenario, whatever its text expects.
 */
export const quorumHandlers: Handlers<unknown> = {
  /** `commit voters=1,2,3 [outgoing=…] 1:10 2:12`: a member that is not named has nothing. */
  commit: (_, command) => {
    const conf = halves(command);
    const reached = table(command);
    const at = (id: MemberId) => Number(reached.get(id) ?? 0);
    const result = quorumReached(conf, at);
    assert.equal(result, committedByTrying(conf, at), `commit ${command.words.join(' ')}`);
    const all = [...new Set([...conf.voters, ...conf.votersOutgoing])].sort((a, b) => a - b);
    const most = Math.max(1, ...all.map(at));
    const bars = all.map((id) => {
      const bar = '='.repeat(Math.round((at(id) / most) * 20));
      return `  ${id} ${bar}> ${at(id)}`;
    });
    return [...bars, result === Number.MAX_SAFE_INTEGER ? 'everything' : String(result)];
  },
  /** `vote voters=1,2,3 [outgoing=…] 1:yes 2:no`: a member that is not named has not answered. */
  vote: (_, command) => {
    const conf = halves(command);
    const answers = table(command);
    const vote = (id: MemberId) => {
      const word = answers.get(id);
      return word === undefined ? undefined : word === 'yes';
    };
    const result = quorumVote(conf, vote);
    assert.equal(result, voteByTrying(conf, vote), `vote ${command.words.join(' ')}`);
    return [result];
  },
};

function halves({ options }: Command): ConfState {
  const voters = ids(options.get('voters'));
  const votersOutgoing = ids(options.get('outgoing'));
  return { voters, votersOutgoing, learners: [], learnersNext: [], autoLeave: false };
}

function table({ words }: Command): Map<MemberId, string> {
  return new Map(
    words.map((word) => {
      const [id, value = ''] = word.split(':');
      return [Number(id), value];
    }),
  );
}
