import test from 'ava';
import {
  SLOTS_NARROW,
  SLOTS_WIDE,
  type Share,
  shareSlots,
  slotCount,
} from '../src/balancer/nftables/slots.js';

const counts = (slots: readonly number[]): number[] => {
  const held = new Map<number, number>();
  for (const id of slots) held.set(id, (held.get(id) ?? 0) + 1);
  return [...held.values()];
};
const ids = (count: number): Share[] =>
  Array.from({ length: count }, (_, i) => ({ id: 4096 + i, weight: 1 }));

test('shares differ by one slot at most, for every number of endpoints', (t) => {
  for (let n = 1; n <= SLOTS_WIDE; n += n < 70 ? 1 : 37) {
    const shares = counts(shareSlots([], ids(n)));
    t.is(shares.length, n);
    t.true(Math.max(...shares) - Math.min(...shares) <= 1, `${n} endpoints`);
  }
});

test('up to thirty endpoints have 60 slots, more have 840, none has none', (t) => {
  t.deepEqual(
    [0, 1, 30, 31, 840].map((count) => slotCount(ids(count))),
    [0, SLOTS_NARROW, SLOTS_NARROW, 840, 840],
  );
  t.deepEqual(shareSlots([1, 2], []), []);
});

test('an endpoint that comes or goes moves only the slots it must', (t) => {
  for (const n of [1, 2, 3, 5, 7, 11, 29]) {
    const before = shareSlots([], ids(n));
    const more = shareSlots(before, ids(n + 1));
    const moved = more.filter((id, slot) => id !== before[slot]).length;
    t.is(moved, Math.floor(SLOTS_NARROW / (n + 1)), `${n} and one more`);
    const back = shareSlots(more, ids(n + 1).slice(1));
    const lost = more.filter((id) => id === 4096).length;
    const changed = back.filter((id, slot) => id !== more[slot]).length;
    t.is(changed, lost, `${n + 1} less one`);
  }
});

test('the same endpoints keep all slots', (t) => {
  const slots = shareSlots([], ids(7));
  t.deepEqual(shareSlots(slots, ids(7)), slots);
});

test('shares follow weights: exact but for one slot, at least one, and none for weight 0', (t) => {
  const shares = [100, 100, 10, 1, 0].map((weight, i) => ({ id: 4096 + i, weight }));
  const slots = shareSlots([], shares);
  t.is(slots.length, SLOTS_WIDE);
  const held = (id: number) => slots.filter((owner) => owner === id).length;
  for (const { id, weight } of shares.slice(0, 3))
    t.true(Math.abs(held(id) - (SLOTS_WIDE * weight) / 211) <= 1, `${weight}: ${held(id)}`);
  t.true(held(4099) >= 1);
  t.is(held(4100), 0);
  const same = shareSlots(
    [],
    shares.map((share) => ({ ...share, weight: 0 })),
  );
  t.is(same.length, SLOTS_NARROW, 'all have weight 0: all get the same');
});

test('a changed weight moves only the slots it must', (t) => {
  const shares = [100, 100, 10].map((weight, i) => ({ id: 4096 + i, weight }));
  const before = shareSlots([], shares);
  const after = shareSlots(before, shares.with(2, { id: 4098, weight: 50 }));
  const gained =
    after.filter((id) => id === 4098).length - before.filter((id) => id === 4098).length;
  t.is(after.filter((id, slot) => id !== before[slot]).length, gained);
});
