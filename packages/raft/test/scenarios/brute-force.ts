import type { VoteResult } from '../../src/core/quorum.js';
import type { ConfState, Index, MemberId } from '../../src/core/types.js';

/** Every subset of `ids` that is a majority of it; for no members, the empty one. */
function majorities(ids: readonly MemberId[]): MemberId[][] {
  const found: MemberId[][] = [];
  for (let mask = 0; mask < 2 ** ids.length; mask++) {
    const subset = ids.filter((_, i) => (mask & (1 << i)) !== 0);
    if (ids.length === 0 || subset.length * 2 > ids.length) found.push(subset);
  }
  return found;
}

/** By definition: some majority of each half holds everything up to there, and nothing beyond. */
export function committedByTrying(conf: ConfState, reached: (id: MemberId) => Index): Index {
  const best = (ids: readonly MemberId[]) =>
    Math.max(
      ...majorities(ids).map((subset) =>
        Math.min(Number.MAX_SAFE_INTEGER, ...subset.map((id) => reached(id))),
      ),
    );
  return Math.min(best(conf.voters), best(conf.votersOutgoing));
}

/** By definition: tries every way in which silent members may still answer. */
export function voteByTrying(
  conf: ConfState,
  vote: (id: MemberId) => boolean | undefined,
): VoteResult {
  const silent = [...new Set([...conf.voters, ...conf.votersOutgoing])].filter(
    (id) => vote(id) === undefined,
  );
  const outcomes = new Set<boolean>();
  for (let mask = 0; mask < 2 ** silent.length; mask++) {
    const yes = (id: MemberId) => vote(id) ?? (mask & (1 << silent.indexOf(id))) !== 0;
    const won = [conf.voters, conf.votersOutgoing].every((half) =>
      majorities(half).some((subset) => subset.every(yes)),
    );
    outcomes.add(won);
  }
  if (outcomes.size > 1) return 'pending';
  return outcomes.has(true) ? 'won' : 'lost';
}
