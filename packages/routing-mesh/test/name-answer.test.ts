import type { IpAddress } from '@swarm/api';
import test from 'ava';
import fc from 'fast-check';
import { type Asker, answerFrom, type NameAnswer, TYPE } from '../src/names/name-answer.js';
import { NameBook } from '../src/names/name-book.js';
import { changeBook } from '../src/names/book-changes.js';
import { reversedAddress } from '../src/names/reverse-name.js';
import { changesOf, ip, type ViewPlan } from './support/name-views.js';

const TASK = 't1aaaaaaaaaaaaaaaaaaaaaaa';

/** What a task is told of these networks, on which it is in this order. */
function asking(views: readonly ViewPlan[], change: Partial<Asker> = {}) {
  const book = bookOf(views);
  const asker: Asker = {
    taskId: TASK,
    networks: views.map(({ networkId }) => ({ networkId, addresses: [] })),
    names: [],
    isClosed: false,
    ...change,
  };
  return (name: string, type: number = TYPE.A) =>
    shown(answerFrom(book, asker, { name, type }, () => 0));
}

function bookOf(views: readonly ViewPlan[]): NameBook {
  const book = new NameBook();
  for (const change of changesOf(views)) changeBook(book, change);
  return book;
}

function shown(answer: NameAnswer): readonly string[] | 'unknown' | 'forward' {
  if (answer.kind !== 'records') return answer.kind;
  return answer.records
    .map((record) => ('address' in record ? record.address : record.target))
    .sort();
}

const shop: ViewPlan = {
  networkId: 'shop',
  name: 'Shop_Net',
  subnets: ['10.0.1.0/24', 'fd00:1::/64'],
  services: [
    { serviceId: 'web', names: ['web', 'www', 'shared'], vips: ['10.0.1.2', 'fd00:1::2'] },
    { serviceId: 'old', names: ['old', 'shared'], vips: ['10.0.1.3'] },
    { serviceId: 'rr', names: ['rr'], vips: [] },
    { serviceId: 'none', names: ['none'], vips: [] },
  ],
  members: [
    { taskId: 'w1', serviceId: 'web', names: ['web.1.w1', 'alpha'], addresses: ['10.0.1.11'] },
    {
      taskId: 'w2',
      serviceId: 'web',
      names: ['web.2.w2', 'beta'],
      addresses: ['10.0.1.12', 'fd00:1::12'],
      serves: false,
    },
    { taskId: 'r1', serviceId: 'rr', names: ['rr.1.r1', 'web'], addresses: ['10.0.1.21'] },
    { taskId: 'r2', serviceId: 'rr', names: ['rr.2.r2'], addresses: ['10.0.1.22'] },
    { taskId: 'r3', serviceId: 'rr', names: ['rr.3.r3'], addresses: ['10.0.1.23'], node: 'down' },
    { taskId: 'alone0123456789', names: ['box'], addresses: ['10.0.1.31'], node: 'unknown' },
  ],
};

test('a service is its virtual address, by family, under each of its names', (t) => {
  const ask = asking([shop]);
  t.deepEqual(ask('web'), ['10.0.1.2']);
  t.deepEqual(ask('www'), ['10.0.1.2']);
  t.deepEqual(ask('web', TYPE.AAAA), ['fd00:1::2']);
  t.deepEqual(ask('shared'), ['10.0.1.2', '10.0.1.3'], 'an alias of two services is both');
  t.deepEqual(ask('old', TYPE.AAAA), [], 'without IPv6 the name exists all the same');
  for (const type of [15, 16, 33, 255]) t.deepEqual(ask('web', type), [], `type ${type}`);
});

test('a service without virtual address is its tasks that serve', (t) => {
  const ask = asking([shop]);
  t.deepEqual(ask('rr'), ['10.0.1.21', '10.0.1.22'], 'less those of a node that is down');
  t.deepEqual(ask('none'), [], 'without tasks the name exists all the same');
});

test('tasks.NAME is the tasks that serve', (t) => {
  const ask = asking([shop]);
  t.deepEqual(ask('tasks.web'), ['10.0.1.11']);
  t.deepEqual(ask('tasks.www'), ['10.0.1.11'], 'by an alias too');
  t.deepEqual(ask('tasks.rr'), ['10.0.1.21', '10.0.1.22']);
  t.deepEqual(ask('tasks.none'), []);
  t.is(ask('tasks.nobody'), 'forward');
  t.is(ask('tasks.alpha'), 'forward');
});

test('a task is found by its name, host name and short id, ready or not, reached or not', (t) => {
  const ask = asking([shop]);
  t.deepEqual(ask('web.1.w1'), ['10.0.1.11']);
  t.deepEqual(ask('beta'), ['10.0.1.12']);
  t.deepEqual(ask('beta', TYPE.AAAA), ['fd00:1::12']);
  t.deepEqual(ask('rr.3.r3'), ['10.0.1.23'], 'there is no other');
  t.deepEqual(ask('box'), ['10.0.1.31']);
  t.deepEqual(ask('alone0123456'), ['10.0.1.31']);
  t.deepEqual(ask('web'), ['10.0.1.2'], 'a host name does not take the name of a service');
});

test('a name within one network, whatever its case', (t) => {
  const ask = asking([shop]);
  t.deepEqual(ask('web.shop_net'), ['10.0.1.2']);
  t.deepEqual(ask('tasks.rr.shop_net'), ['10.0.1.21', '10.0.1.22']);
  t.deepEqual(ask('web.1.w1.shop_net'), ['10.0.1.11']);
  t.is(ask('web.other'), 'forward');
  t.is(ask('shop_net'), 'forward');
  t.is(ask('.shop_net'), 'forward');
});

test('the order of the task’s networks decides, and no other network is seen', (t) => {
  const other: ViewPlan = {
    networkId: 'other',
    services: [{ serviceId: 'x', names: ['web', 'only'], vips: ['10.0.2.2'] }],
  };
  t.deepEqual(asking([shop, other])('web'), ['10.0.1.2']);
  t.deepEqual(asking([other, shop])('web'), ['10.0.2.2']);
  t.deepEqual(asking([other, shop])('web.shop_net'), ['10.0.1.2']);
  t.deepEqual(asking([shop, other])('only'), ['10.0.2.2']);
  const networks = [{ networkId: 'other', addresses: [] }];
  t.is(asking([shop, other], { networks })('www'), 'forward');
});

test('a task’s own names work before any state names it', (t) => {
  const networks = [{ networkId: 'shop', addresses: [ip('10.0.1.77'), ip('fd00:1::77')] }];
  const ask = asking([shop], { networks, names: ['me.1.x', 'me'] });
  t.deepEqual(ask('me'), ['10.0.1.77']);
  t.deepEqual(ask('me.1.x', TYPE.AAAA), ['fd00:1::77']);
  t.deepEqual(ask('me.shop_net'), ['10.0.1.77']);
  t.deepEqual(ask('77.1.0.10.in-addr.arpa', TYPE.PTR), ['me.1.x.shop_net']);
  t.deepEqual(asking([], { networks, names: ['me'] })('me'), ['10.0.1.77'], 'nor its network');
});

test('who has an address: services, tasks, nobody, and others’ addresses', (t) => {
  const ask = asking([shop]);
  t.deepEqual(ask('2.1.0.10.in-addr.arpa', TYPE.PTR), ['web.shop_net']);
  t.deepEqual(ask('12.1.0.10.in-addr.arpa', TYPE.PTR), ['web.2.w2.shop_net']);
  const v6 = '2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa';
  t.deepEqual(ask(v6, TYPE.PTR), ['web.shop_net']);
  t.deepEqual(ask('2.1.0.10.in-addr.arpa', TYPE.A), [], 'it has no other records');
  t.is(ask('99.1.0.10.in-addr.arpa', TYPE.PTR), 'unknown', 'nobody else could know');
  t.is(ask('1.0.18.198.in-addr.arpa', TYPE.PTR), 'forward');
  t.is(ask('10.in-addr.arpa', TYPE.PTR), 'forward');
});

test('a task on internal networks is told that other names do not exist', (t) => {
  const ask = asking([shop], { isClosed: true });
  t.deepEqual(ask('web'), ['10.0.1.2']);
  t.is(ask('example.com'), 'unknown');
  t.is(ask('1.0.18.198.in-addr.arpa', TYPE.PTR), 'unknown');
});

test('addresses come in random order', (t) => {
  const book = bookOf([shop]);
  const networks = [{ networkId: 'shop', addresses: [] }];
  const asker: Asker = { taskId: TASK, networks, names: [], isClosed: false };
  const firsts = new Set<string>();
  for (let round = 0; round < 100; round++) {
    const answer = answerFrom(book, asker, { name: 'rr', type: TYPE.A }, Math.random);
    const [first] = answer.kind === 'records' ? answer.records : [];
    if (first !== undefined && 'address' in first) firsts.add(first.address);
  }
  t.is(firsts.size, 2);
});

test('answers may be used for a second, of virtual addresses for five', (t) => {
  const book = bookOf([shop]);
  const networks = [{ networkId: 'shop', addresses: [] }];
  const asker: Asker = { taskId: TASK, networks, names: [], isClosed: false };
  const ttl = (name: string) => {
    const answer = answerFrom(book, asker, { name, type: TYPE.A }, Math.random);
    return answer.kind === 'records' ? answer.records[0]?.ttlS : undefined;
  };
  t.is(ttl('web'), 5);
  t.is(ttl('rr'), 1);
  t.is(ttl('tasks.web'), 1);
  t.is(ttl('web.1.w1'), 1);
});

test('reverse names are those of addresses, and nothing else', (t) => {
  fc.assert(
    fc.property(fc.ipV4(), (address) => {
      const name = `${address.split('.').reverse().join('.')}.in-addr.arpa`;
      return reversedAddress(name) === (ip(address) as IpAddress);
    }),
  );
  for (const name of ['1.2.3.in-addr.arpa', '256.1.1.1.in-addr.arpa', 'x.ip6.arpa', '1.2.3.4'])
    t.is(reversedAddress(name), undefined, name);
});

test('a name never leads anywhere but to an address that the task’s networks have under it', (t) => {
  const label = fc.constantFrom('a', 'b', 'c', 'd');
  const address = fc.integer({ min: 1, max: 250 }).map((last) => `10.0.1.${last}`);
  const service = fc.record({
    serviceId: label,
    names: fc.uniqueArray(label, { minLength: 1, maxLength: 3 }),
    vips: fc.array(address, { maxLength: 1 }),
  });
  const member = fc.record({
    taskId: fc.constantFrom('t1', 't2', 't3', 't4', 't5'),
    serviceId: label,
    names: fc.uniqueArray(label, { maxLength: 2 }),
    addresses: fc.array(address, { minLength: 1, maxLength: 2 }),
    serves: fc.boolean(),
  });
  const view = fc.record({
    networkId: fc.constantFrom('n1', 'n2'),
    services: fc.uniqueArray(service, { selector: (one) => one.serviceId, maxLength: 4 }),
    members: fc.uniqueArray(member, { selector: (one) => one.taskId, maxLength: 5 }),
  });
  fc.assert(
    fc.property(
      fc.uniqueArray(view, { selector: (one) => one.networkId, minLength: 1, maxLength: 2 }),
      label,
      fc.boolean(),
      (views, name, asksTasks) => {
        const found = asking(views)(asksTasks ? `tasks.${name}` : name);
        const first = views.find(
          ({ services, members }) =>
            services.some(({ names }) => names.includes(name)) ||
            (!asksTasks && members.some(({ names }) => names.includes(name))),
        );
        if (first === undefined) return found === 'forward';
        const named = first.services.filter(({ names }) => names.includes(name));
        const serving = (id: string) =>
          first.members
            .filter(({ serviceId, serves }) => serves && serviceId === id)
            .flatMap(({ addresses }) => addresses);
        const expected =
          named.length === 0
            ? first.members
                .filter(({ names }) => names.includes(name))
                .flatMap(({ addresses }) => addresses)
            : named.flatMap(({ serviceId, vips }) =>
                asksTasks || vips.length === 0 ? serving(serviceId) : vips,
              );
        t.deepEqual(found, [...expected].sort());
        return true;
      },
    ),
  );
});
