import type { ConfState, Index, MemberId } from './types.js';

export const VoteResult = { Pending: 'pending', Won: 'won', Lost: 'lost' } as const;
export type VoteResult = (typeof VoteResult)[keyof typeof VoteResult];

/** What the empty majority agrees on: it must never hold back the other half of a joint quorum. */
const EVERYTHING = Number.MAX_SAFE_INTEGER;

export function majority(count: number): number {
  return Math.floor(count / 2) + 1;
}

/** The highest value that a majority of `ids` has reached. */
export function majorityReached(ids: readonly MemberId[], reached: (id: MemberId) => Index): Index {
  if (ids.length === 0) return EVERYTHING;
  // Insertion sort, because there are few values: this runs for each answer of a member.
  const values: Index[] = [];
  for (const id of ids) {
    const value = reached(id);
    let at = values.length;
    for (; at > 0 && values[at - 1]! > value; at--) values[at] = values[at - 1]!;
    values[at] = value;
  }
  return values[ids.length - majority(ids.length)]!;
}

/** The highest value that both majorities of a configuration have reached (thesis §4.3). */
export function quorumReached(conf: ConfState, reached: (id: MemberId) => Index): Index {
  return Math.min(
    majorityReached(conf.voters, reached),
    majorityReached(conf.votersOutgoing, reached),
  );
}

/** Counts votes; undefined means not answered. An empty set of voters wins, see EVERYTHING. */
export function majorityVote(
  ids: readonly MemberId[],
  vote: (id: MemberId) => boolean | undefined,
): VoteResult {
  let granted = 0;
  let open = 0;
  for (const id of ids) {
    const answer = vote(id);
    if (answer === undefined) open++;
    else if (answer) granted++;
  }
  const needed = ids.length === 0 ? 0 : majority(ids.length);
  if (granted >= needed) return VoteResult.Won;
  return granted + open >= needed ? VoteResult.Pending : VoteResult.Lost;
}

/** Counts votes in both halves. Both must be won; one lost half loses the vote. */
export function quorumVote(
  conf: ConfState,
  vote: (id: MemberId) => boolean | undefined,
): VoteResult {
  const incoming = majorityVote(conf.voters, vote);
  const outgoing = majorityVote(conf.votersOutgoing, vote);
  if (incoming === outgoing) return incoming;
  if (incoming === VoteResult.Lost || outgoing === VoteResult.Lost) return VoteResult.Lost;
  return VoteResult.Pending;
}
