import test from 'ava';
import { changeList } from '../src/flags/list-change.js';
import {
  ALLOW,
  type AllowFlags,
  changedAllow,
  createdAllow,
  shownRules,
} from '../src/flags/allow.js';

const TCP = 'tcp' as const;

test('rules of a new service: each source once, with its ports', (t) => {
  t.is(createdAllow([]), undefined, 'without the flag it is open');
  t.deepEqual(createdAllow(['none']), []);
  t.deepEqual(createdAllow(['open']), [{ From: 'any' }], 'which the manager keeps as no rules');
  const given = ['web:8080', 'web:53/udp', '203.0.113.0/24:443', 'any', '[fd00::/8]:80', 'fd00::1'];
  t.deepEqual(createdAllow(given), [
    {
      From: 'web',
      Ports: [
        { Protocol: TCP, Port: 8080 },
        { Protocol: 'udp', Port: 53 },
      ],
    },
    { From: '203.0.113.0/24', Ports: [{ Protocol: TCP, Port: 443 }] },
    { From: 'any' },
    { From: 'fd00::/8', Ports: [{ Protocol: TCP, Port: 80 }] },
    { From: 'fd00::1' },
  ]);
  t.deepEqual(createdAllow(['web:1', 'web']), [{ From: 'web' }], 'all ports include one');
});

test('what is no rule is refused with what one looks like', (t) => {
  for (const text of [
    '',
    'web:0',
    'web:70000',
    'web:80/icmp',
    '203.0.113.1/24',
    'a b',
    'web:x',
    '[web]:1:2',
  ])
    t.throws(() => createdAllow([text]), { message: /for --allow: / }, text);
  t.throws(() => createdAllow(['open', 'web']), { message: /stands alone/ });
});

test('an update adds rules and removes them, by port or by source', (t) => {
  const change = (old: readonly string[], flags: Partial<AllowFlags>) => {
    const { added = [], removed = [] } = flags;
    const before = createdAllow(old);
    const after = changedAllow(before, { added, removed }, (items, rules) =>
      changeList(ALLOW, 'service web', items, { removed, added: rules }),
    );
    return after && shownRules(after);
  };
  t.deepEqual(change(['a:1'], { added: ['a:2'] }), ['a:1/tcp', 'a:2/tcp']);
  t.deepEqual(change(['a:1', 'a:2'], { removed: ['a:1'] }), ['a:2/tcp']);
  t.deepEqual(change(['a:1', 'a:2'], { removed: ['a'] }), [], 'then nobody may');
  t.deepEqual(change(['a:1'], { added: ['none', 'b'] }), ['b']);
  t.deepEqual(change(['a:1'], { added: ['open'] }), ['any']);
  t.throws(() => change(['a:1'], { removed: ['b'] }), { message: /no such rule; it has a:1\/tcp/ });
});
