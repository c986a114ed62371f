import { type IpAddress, parseIpAddress } from '@swarm/api';
import test from 'ava';
import { readMember, readService } from '../src/checked.js';
import { guardedTasks, type GuardInput, guardPlan } from '../src/guard/guard-plan.js';
import { parseRefused } from '../src/guard/access-guard.js';
import { parseTaskId, type TaskId } from '../src/layout.js';
import { NO_OPTIONS } from '../src/port-options.js';
import { StateIndex } from '../src/state-index.js';
import { IPV4, IPV6 } from '../src/table/family.js';

const ip = (text: string): IpAddress => parseIpAddress(text)!;
const id = (text: string): TaskId => parseTaskId(text)!;

function input(allow: unknown, addresses = ['10.0.1.5', 'fd00::5']): Omit<GuardInput, 'index'> {
  const service = (serviceId: string, name: string, rules?: unknown) =>
    readService({
      serviceId,
      name,
      networks: [],
      ...(rules === undefined ? {} : { allow: rules }),
    });
  const member = (taskId: string, serviceId: string, own: string[]) =>
    readMember({
      ...{ taskId, nodeId: 'node1', serviceId, names: [], serves: true },
      networks: [{ networkId: 'net1', addresses: own }],
    });
  return {
    services: new Map([
      ['db1', service('db1', 'db', allow)],
      ['web1', service('web1', 'web')],
    ]),
    members: new Map([
      [id('task1'), member('task1', 'db1', addresses)],
      [id('task2'), member('task2', 'web1', ['10.0.1.9', 'fd00::9'])],
    ]),
    ports: new Map(),
    tasks: new Map([[id('task1'), { addresses: addresses.map(ip) }]]),
    numberOf: (serviceId) => (serviceId === 'web1' ? 7 : 0),
  };
}

function elements(given: Omit<GuardInput, 'index'>, family = IPV4): Record<string, string[]> {
  const index = new StateIndex();
  index.replace(given);
  const from = { ...given, index };
  const plan = guardPlan(guardedTasks(from), from, family);
  return Object.fromEntries(
    [...plan]
      .filter(([, keys]) => keys.size > 0)
      .map(([name, keys]) => [
        name,
        [...keys].map(([key, value]) => (value === '' ? key : `${key} : ${value}`)),
      ]),
  );
}

test('a service without rules has no elements; one that admits nobody only guards its tasks', (t) => {
  t.deepEqual(elements(input(undefined)), {});
  t.deepEqual(elements(input([])), { guarded: ['10.0.1.5'] });
  t.deepEqual(elements(input([]), IPV6), { guarded: ['fd00::5'] });
});

test('a service is admitted by its number, wherever its tasks are', (t) => {
  t.deepEqual(elements(input([{ From: 'web', Ports: [{ Protocol: 'tcp', Port: 80 }] }])), {
    guarded: ['10.0.1.5'],
    guard_admits: ['7 . 10.0.1.5 . tcp . 80'],
    guard_callers: ['10.0.1.9 : 7'],
  });
  t.deepEqual(elements(input([{ From: 'web1' }]), IPV6), {
    guarded: ['fd00::5'],
    guard_admits_all: ['7 . fd00::5'],
    guard_callers: ['fd00::9 : 7'],
  });
  t.deepEqual(elements(input([{ From: 'nobody' }])), { guarded: ['10.0.1.5'] });
});

test('of networks within each other the widest counts, and all addresses are everybody', (t) => {
  const rules = ['203.0.113.7', '203.0.113.0/24', '203.0.0.0/16', '198.51.100.0/24', 'fd01::/16'];
  t.deepEqual(elements(input(rules.map((From) => ({ From })))), {
    guarded: ['10.0.1.5'],
    guard_nets_all: ['203.0.0.0/16 . 10.0.1.5', '198.51.100.0/24 . 10.0.1.5'],
  });
  const all = [{ From: '0.0.0.0/0', Ports: [{ Protocol: 'udp', Port: 53 }] }];
  t.deepEqual(elements(input(all)), {
    guarded: ['10.0.1.5'],
    guard_open: ['10.0.1.5 . udp . 53'],
  });
});

test('a rule that cannot be read admits nobody', (t) => {
  const bad = [
    { From: 'a b' },
    { From: 'web', Ports: [{ Protocol: 'icmp', Port: 1 }] },
    { From: 5 },
  ];
  t.deepEqual(elements(input(bad)), { guarded: ['10.0.1.5'] });
});

test('a task behind a published port alone is known by that port', (t) => {
  const from = input([]);
  const endpoint = {
    taskId: 'task3',
    nodeId: 'node1',
    address: ip('10.240.1.3'),
    port: 80,
    ipv6: false,
    weight: 1,
  };
  const port = {
    protocol: 'tcp',
    publishedPort: 80,
    serviceId: 'db1',
    options: NO_OPTIONS,
    endpoints: [endpoint],
  } as const;
  const tasks = new Map([[id('task3'), { addresses: [ip('10.240.1.3')] }]]);
  t.deepEqual(elements({ ...from, ports: new Map([['tcp/80', port]]), tasks }), {
    guarded: ['10.240.1.3'],
  });
});

test('what the kernel counted is read, and nothing else', (t) => {
  const concat = ['10.0.1.5', '10.0.1.9', 'tcp', 80];
  const elem = [
    { elem: { val: { concat }, timeout: 600, counter: { packets: 3, bytes: 180 } } },
    { elem: { val: { concat: ['x', '10.0.1.9', 'tcp', 80] }, counter: { packets: 1 } } },
    { elem: { val: { concat } } },
  ];
  t.deepEqual(parseRefused(JSON.stringify({ nftables: [{ metainfo: {} }, { set: { elem } }] })), [
    { attempt: { to: '10.0.1.5', from: '10.0.1.9', protocol: 'tcp', port: 80 }, packets: 3 },
  ]);
  t.deepEqual(parseRefused(JSON.stringify({ nftables: [{ set: {} }] })), []);
});
