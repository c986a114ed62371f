import test from 'ava';
import { SLOT_COUNTS, type Share, shareSlots, slotCount } from '../src/balancer/nftables/slots.js';

const counts = (slots: readonly number[]): number[] => {
  const held = new Map<number, number>();
  for (const id of slots) held.set(id, (held.get(id) ?? 0) + 1);
  return [...held.values()];
};
const ids = (count: number): Share[] =>
  Array.from({ length: count }, (_, i) => ({ id: 4096 + i, weight: 1 }));

test('shares differ by one slot at most, for every number of endpoints', (t) => {
  for (let n = 1; n <= SLOT_COUNTS.wide; n += n < 70 ? 1 : 37) {
    const shares = counts(shareSlots([], ids(n)));
    t.is(shares.length, n);
    t.true(Math.max(...shares) - Math.min(...shares) <= 1, `${n} endpoints`);
  }
});

test('a few endpoints have few slots and exactly equal shares, up to thirty have 60, more have 840', (t) => {
  t.deepEqual(
    [0, 1, 4, 5, 6, 7, 10, 12, 30, 31, 840].map((count) => slotCount(ids(count))),
    [0, 12, 12, 10, 12, 60, 10, 12, 60, 840, 840],
  );
  for (const n of [1, 2, 3, 4, 5, 6, 10, 12])
    t.is(new Set(counts(shareSlots([], ids(n)))).size, 1, `${n} endpoints`);
  t.deepEqual(shareSlots([1, 2], []), []);
});

test('an endpoint that comes or goes moves only the slots it must', (t) => {
  for (const n of [1, 2, 3, 7, 8, 13, 29]) {
    const before = shareSlots([], ids(n));
    const more = shareSlots(before, ids(n + 1));
    const moved = more.filter((id, slot) => id !== before[slot]).length;
    t.is(moved, Math.floor(before.length / (n + 1)), `${n} and one more`);
    const back = shareSlots(more, ids(n + 1).slice(1));
    const lost = more.filter((id) => id === 4096).length;
    const changed = back.filter((id, slot) => id !== more[slot]).length;
    t.is(changed, lost, `${n + 1} less one`);
  }
});

test('with another number of slots, those that both have move only where they must', (t) => {
  const five = shareSlots([], ids(5));
  const four = shareSlots(five, ids(5).slice(1));
  t.deepEqual([five.length, four.length], [10, 12]);
  t.is(five.filter((id, slot) => id !== four[slot]).length, 2, 'those of the one that went');
  const again = shareSlots(four, ids(5));
  t.is(again.length, 10);
  t.true(again.filter((id, slot) => id !== four[slot]).length <= 4);
});

test('the same endpoints keep all slots', (t) => {
  const slots = shareSlots([], ids(7));
  t.deepEqual(shareSlots(slots, ids(7)), slots);
});

test('shares follow weights: exact but for one slot, at least one, and none for weight 0', (t) => {
  const shares = [100, 100, 10, 1, 0].map((weight, i) => ({ id: 4096 + i, weight }));
  const slots = shareSlots([], shares);
  t.is(slots.length, SLOT_COUNTS.wide);
  const held = (id: number) => slots.filter((owner) => owner === id).length;
  for (const { id, weight } of shares.slice(0, 3))
    t.true(Math.abs(held(id) - (SLOT_COUNTS.wide * weight) / 211) <= 1, `${weight}: ${held(id)}`);
  t.true(held(4099) >= 1);
  t.is(held(4100), 0);
  const same = shareSlots(
    [],
    shares.map((share) => ({ ...share, weight: 0 })),
  );
  t.is(same.length, SLOT_COUNTS.ten, 'all have weight 0: all get the same');
});

test('a changed weight moves only the slots it must', (t) => {
  const shares = [100, 100, 10].map((weight, i) => ({ id: 4096 + i, weight }));
  const before = shareSlots([], shares);
  const after = shareSlots(before, shares.with(2, { id: 4098, weight: 50 }));
  const gained =
    after.filter((id) => id === 4098).length - before.filter((id) => id === 4098).length;
  t.is(after.filter((id, slot) => id !== before[slot]).length, gained);
});
