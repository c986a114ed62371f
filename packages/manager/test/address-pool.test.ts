import { Subnet } from '@swarm/api';
import test from 'ava';
import fc from 'fast-check';
import {
  ADDRESS_REST_MS,
  AddressPool,
  FREED_ADDRESSES_LIMIT,
} from '../src/allocator/address-pool.js';

/** Offsets 2 to 6: five addresses for tasks. */
const SMALL = Subnet.of('10.240.1.0/29');
const LATER_MS = 10 * ADDRESS_REST_MS;

test('addresses are given in turn, except those of network, node and broadcast', (t) => {
  const pool = new AddressPool(SMALL, 0);
  t.is(pool.size, 5);
  t.deepEqual(
    [1, 2, 3, 4, 5, 6].map((i) => pool.take(`t${i}`, LATER_MS)),
    [2, 3, 4, 5, 6, undefined],
  );
  t.false(pool.hasRoom);
  t.is(
    new AddressPool(Subnet.of('10.0.0.0/31'), 0).take('t', 0),
    undefined,
    'it has no room at all',
  );
});

test('freed addresses are given last, the one freed first before the others', (t) => {
  const pool = new AddressPool(SMALL, 0);
  for (const name of ['a', 'b', 'c']) pool.take(name, LATER_MS);
  pool.release(3, 'b', LATER_MS);
  pool.release(2, 'a', LATER_MS + 1);
  t.deepEqual(
    [1, 2, 3, 4].map((i) => pool.take(`n${i}`, LATER_MS + 2)),
    [5, 6, 3, 2],
  );
});

test('a large pool reuses rested addresses once it remembers many, and no others', (t) => {
  const pool = new AddressPool(Subnet.of('10.0.0.0/8'), 0);
  const cycle = (nowMs: number) => {
    const offset = pool.take('t', nowMs)!;
    pool.release(offset, 't', nowMs);
    return offset;
  };
  const offsets = Array.from({ length: FREED_ADDRESSES_LIMIT + 1 }, () => cycle(LATER_MS));
  const fresh = FREED_ADDRESSES_LIMIT + 3;
  t.is(cycle(LATER_MS + ADDRESS_REST_MS - 1), fresh, 'none has rested');
  const restedMs = LATER_MS + ADDRESS_REST_MS;
  t.deepEqual(
    offsets.map(() => cycle(restedMs)),
    offsets,
    'the one that was freed first before the others',
  );
});

test('a new leader prefers rested addresses to unknown ones until those must have rested too', (t) => {
  const pool = new AddressPool(SMALL, LATER_MS);
  pool.hold(6, 'old');
  pool.recall(
    [
      [2, LATER_MS - 2 * ADDRESS_REST_MS],
      [3, LATER_MS - 1],
    ],
    2,
    LATER_MS,
  );
  t.is(pool.take('a', LATER_MS), 2, 'it has surely rested');
  t.is(pool.take('b', LATER_MS), 4, 'that nobody has is all that is known');
  const later = new AddressPool(SMALL, LATER_MS);
  later.recall([[2, LATER_MS - 2 * ADDRESS_REST_MS]], 2, LATER_MS);
  t.is(later.take('a', LATER_MS + ADDRESS_REST_MS), 3, 'by now that would have been seen');
});

test('an address with two holders is free when both are gone', (t) => {
  const pool = new AddressPool(SMALL, 0);
  pool.hold(4, 'a');
  pool.hold(4, 'b');
  pool.release(4, 'a', 0);
  t.deepEqual([...(pool.holders(4) ?? [])], ['b']);
  pool.release(4, 'a', 0);
  t.truthy(pool.holders(4));
  pool.release(4, 'b', 0);
  t.is(pool.holders(4), undefined);
});

test('whatever comes and goes, an address has one holder and rests as long as it can', (t) => {
  const step = fc.oneof(
    fc.constant({ do: 'take' } as const),
    fc.record({ do: fc.constant('release' as const), which: fc.nat() }),
    fc.record({ do: fc.constant('wait' as const), ms: fc.nat({ max: ADDRESS_REST_MS }) }),
  );
  const check = fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
    const pool = new AddressPool(SMALL, 0);
    const held = new Map<number, string>();
    const freed = new Map<number, number>();
    let nowMs = LATER_MS;
    let number = 0;
    for (const one of steps) {
      if (one.do === 'wait') nowMs += one.ms;
      else if (one.do === 'take') {
        number += 1;
        const holder = `t${number}`;
        const offset = pool.take(holder, nowMs);
        if ((offset === undefined) !== (held.size === 5)) return false;
        if (offset === undefined) continue;
        if (held.has(offset)) return false;
        const restedSince = freed.get(offset) ?? 0;
        for (let other = 2; other <= 6; other++) {
          if (!held.has(other) && (freed.get(other) ?? 0) < restedSince) return false;
        }
        held.set(offset, holder);
        freed.delete(offset);
      } else if (held.size > 0) {
        const [offset, holder] = [...held][one.which % held.size]!;
        nowMs += 1;
        pool.release(offset, holder, nowMs);
        held.delete(offset);
        freed.set(offset, nowMs);
      }
    }
    return pool.hasRoom === held.size < 5;
  });
  t.notThrows(() => fc.assert(check));
});
