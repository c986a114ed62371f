import test from 'ava';
import { majorityReached, quorumReached, quorumVote, VoteResult } from '../../src/core/quorum.js';
import { conf } from '../support/core-group.js';
import { Prng } from '@swarm/sim';

const CASES = 5000;

/** A random subset of 1..6, at least `least` members. */
function subset(random: () => number, least: number): number[] {
  for (;;) {
    const ids = [1, 2, 3, 4, 5, 6].filter(() => random() < 0.5);
    if (ids.length >= least) return ids;
  }
}

/** Straight from the definition: the largest value that more than half have reached. */
function bruteReached(ids: readonly number[], reached: ReadonlyMap<number, number>): number {
  if (ids.length === 0) return Number.MAX_SAFE_INTEGER;
  for (let value = 20; value > 0; value--) {
    const count = ids.filter((id) => reached.get(id)! >= value).length;
    if (count * 2 > ids.length) return value;
  }
  return 0;
}

test('what a quorum has reached is what the definition says, joint or not', (t) => {
  const random = new Prng(7, 'test').fraction;
  for (let i = 0; i < CASES; i++) {
    const voters = subset(random, 1);
    const votersOutgoing = random() < 0.5 ? [] : subset(random, 1);
    const reached = new Map([1, 2, 3, 4, 5, 6].map((id) => [id, Math.floor(random() * 20)]));
    const joint = { ...conf(voters), votersOutgoing };
    const expected = Math.min(bruteReached(voters, reached), bruteReached(votersOutgoing, reached));
    if (quorumReached(joint, (id) => reached.get(id)!) !== expected) {
      t.fail(JSON.stringify({ voters, votersOutgoing, reached: [...reached] }));
    }
  }
  t.pass();
});

/** Every way in which the open votes may still fall. */
function completions(open: readonly number[]): ReadonlyMap<number, boolean>[] {
  return Array.from(
    { length: 2 ** open.length },
    (_, bits) => new Map(open.map((id, i) => [id, (bits & (1 << i)) !== 0])),
  );
}

test('a vote is won or lost when no open answer can change it, and pending until then', (t) => {
  const random = new Prng(11, 'test').fraction;
  for (let i = 0; i < CASES; i++) {
    const voters = subset(random, 1);
    const votersOutgoing = random() < 0.5 ? [] : subset(random, 1);
    const votes = new Map<number, boolean>();
    for (const id of [1, 2, 3, 4, 5, 6]) if (random() < 0.6) votes.set(id, random() < 0.5);
    const all = [...new Set([...voters, ...votersOutgoing])];
    const wins = (ids: readonly number[], full: ReadonlyMap<number, boolean>) =>
      ids.length === 0 || ids.filter((id) => votes.get(id) ?? full.get(id)).length * 2 > ids.length;
    const outcomes = new Set(
      completions(all.filter((id) => !votes.has(id))).map(
        (full) => wins(voters, full) && wins(votersOutgoing, full),
      ),
    );
    const expected =
      outcomes.size === 2
        ? VoteResult.Pending
        : outcomes.has(true)
          ? VoteResult.Won
          : VoteResult.Lost;
    const actual = quorumVote({ ...conf(voters), votersOutgoing }, (id) => votes.get(id));
    if (actual !== expected) t.fail(JSON.stringify({ voters, votersOutgoing, votes: [...votes] }));
  }
  t.pass();
});

test('the empty majority holds nothing back', (t) => {
  t.is(
    majorityReached([], () => 0),
    Number.MAX_SAFE_INTEGER,
  );
});
