import test from 'ava';
import { ClientLimiter } from '../src/balancer/userspace/client-limiter.js';
import { readClientLimits } from '../src/client-limits.js';

const limiter = (limits: object): ClientLimiter => {
  const made = new ClientLimiter();
  made.follow(readClientLimits(limits));
  return made;
};

test('a client has so many connections at a time, others have their own', (t) => {
  const of = limiter({ connections: 2 });
  t.deepEqual(
    [1, 2, 3].map(() => of.admit('192.0.2.1', 0)),
    [true, true, false],
  );
  t.true(of.admit('192.0.2.2', 0));
  of.leave('192.0.2.1');
  t.true(of.admit('192.0.2.1', 0));
  t.false(of.admit('192.0.2.1', 0));
  t.deepEqual(of.takeRefused(), { count: 2, from: '192.0.2.1' });
  t.is(of.takeRefused(), undefined);
});

test('a client has its burst at once, then its rate', (t) => {
  const of = limiter({ rate: 60, per: 'minute', burst: 3 });
  const admitted = (nowMs: number): number => {
    let count = 0;
    while (of.admit('192.0.2.1', nowMs)) count += 1;
    return count;
  };
  t.is(admitted(0), 3);
  t.is(admitted(999), 0);
  t.is(admitted(1000), 1);
  t.is(admitted(3500), 2);
  t.is(admitted(4000), 1, 'what is left over counts');
  t.is(admitted(1_000_000), 3, 'no more than the burst');
});

test('addresses of one /64 network are one client, with or without a zone', (t) => {
  const of = limiter({ connections: 1 });
  t.true(of.admit('2001:db8::1', 0));
  t.false(of.admit('2001:db8::ffff:1', 0));
  t.true(of.admit('2001:db8:0:1::1', 0));
  t.true(of.admit('fe80::1%eth0', 0));
  t.false(of.admit('fe80::2%eth1', 0));
});

test('limits that come later know of the connections that are there', (t) => {
  const of = limiter({ connections: 10 });
  of.admit('192.0.2.1', 0);
  of.follow(undefined);
  of.admit('192.0.2.1', 0);
  of.follow(readClientLimits({ connections: 2 }));
  t.false(of.admit('192.0.2.1', 0));
});

test('of many clients without connections, those of long ago are forgotten', (t) => {
  const of = limiter({ rate: 1, per: 'hour' });
  const address = (i: number): string => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;
  for (let i = 0; i < 16_400; i += 1) {
    of.admit(address(i), 0);
    of.leave(address(i));
  }
  t.true(of.admit(address(0), 0), 'forgotten');
  t.false(of.admit(address(16_399), 0), 'remembered');
});

for (const limits of [
  { connections: 0 },
  { connections: 1.5 },
  { rate: '5' },
  { rate: 5, per: 'day' },
  { rate: 5, burst: 0 },
  { connections: 10_001 },
  'many',
])
  test(`limits that are none are refused: ${JSON.stringify(limits)}`, (t) => {
    t.throws(() => readClientLimits(limits), { name: 'BadPart' });
  });
