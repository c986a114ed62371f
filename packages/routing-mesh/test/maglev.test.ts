import test from 'ava';
import fc from 'fast-check';
import { MAGLEV_PLACES, maglevTable } from '../src/balancer/maglev.js';

const named = (names: readonly string[], weight = 1) =>
  names.map((name, id) => ({ name, id, weight }));
/** The names that the places lead to. */
const owners = (names: readonly string[]): string[] =>
  maglevTable(named(names)).map((id) => names[id]!);
const names = fc.uniqueArray(fc.stringMatching(/^[a-z0-9]{6,25}$/), {
  minLength: 1,
  maxLength: 60,
});

test('nodes that know the same endpoints have the same table, in whatever order they learned them', (t) => {
  fc.assert(
    fc.property(names, fc.nat(), (list, turn) => {
      const other = [...list.slice(turn % list.length), ...list.slice(0, turn % list.length)];
      t.deepEqual(owners(list), owners(other.reverse()));
    }),
    { numRuns: 50 },
  );
});

test('endpoints of equal weight have equally many places, but for one', (t) => {
  fc.assert(
    fc.property(names, (list) => {
      const counts = new Map<string, number>(list.map((name) => [name, 0]));
      for (const name of owners(list)) counts.set(name, counts.get(name)! + 1);
      const all = [...counts.values()];
      t.is(
        all.reduce((sum, one) => sum + one, 0),
        MAGLEV_PLACES,
      );
      t.true(Math.max(...all) - Math.min(...all) <= 1);
    }),
    { numRuns: 50 },
  );
});

test('an endpoint that goes moves few clients of the others', (t) => {
  let worst = 0;
  for (let count = 2; count <= 20; count += 1) {
    for (let round = 0; round < 5; round += 1) {
      const list = Array.from({ length: count }, (_, i) => `task${round}x${i}of${count}`);
      const gone = list[round % count]!;
      const before = owners(list);
      const after = owners(list.filter((name) => name !== gone));
      const moved = before.filter((name, at) => name !== gone && after[at] !== name).length;
      worst = Math.max(worst, moved / MAGLEV_PLACES);
    }
  }
  t.log(`at most ${(worst * 100).toFixed(1)} % of the places of others`);
  t.true(worst < 0.08);
});

test('places are shared by weight', (t) => {
  const table = maglevTable([
    { name: 'old', id: 0, weight: 100 },
    { name: 'new', id: 1, weight: 25 },
  ]);
  const share = table.filter((id) => id === 1).length / MAGLEV_PLACES;
  t.true(Math.abs(share - 0.2) < 0.01, `${share}`);
});
