import test from 'ava';
import { ForwardRoom } from '../src/names/forward-room.js';
import { readResolvConf, writeResolvConf } from '../src/names/resolv-conf.js';
import { ServerOrder } from '../src/names/server-order.js';
import { ip } from './support/name-views.js';

test('one task cannot take all the room for forwarded questions', (t) => {
  const room = new ForwardRoom(100);
  const leaves: (() => void)[] = [];
  const fill = (taskId: string): number => {
    let count = 0;
    for (let leave = room.enter(taskId); leave !== undefined; leave = room.enter(taskId)) {
      leaves.push(leave);
      count += 1;
    }
    return count;
  };
  t.is(fill('greedy'), 50);
  t.is(fill('second'), 33);
  t.is(fill('third'), 17, 'what is left');
  t.is(room.enter('fourth'), undefined);
  for (const leave of leaves.splice(0)) {
    leave();
    leave();
  }
  t.is(fill('greedy'), 50, 'all of it is free again, counted once');
});

test('many tasks have a few questions each, and all of them no more than the room', (t) => {
  const room = new ForwardRoom(1024);
  let count = 0;
  for (let task = 0; task < 500; task++) {
    while (room.enter(`t${task}`) !== undefined) count += 1;
  }
  t.is(count, 1024);
});

test('servers that were silent come last for a while', (t) => {
  const order = new ServerOrder();
  const [a, b, c] = ['198.18.0.1', '198.18.0.2', '198.18.0.3'].map(ip) as [never, never, never];
  order.silent(a, 0);
  t.deepEqual(order.of([a, b, c], 1), [b, c, a]);
  t.deepEqual(order.of([a, b, c], 10_001), [a, b, c]);
  order.silent(a, 20_000);
  order.answered(a);
  t.deepEqual(order.of([a, b, c], 20_001), [a, b, c]);
});

test('a resolv.conf is read as the resolver reads it', (t) => {
  const text = `# comment
domain old.example
nameserver 198.18.0.1
nameserver\t198.18.0.2
nameserver fe80::1%eth0
nameserver 198.18.0.1
nameserver fd00::53
search one.example two.example
options ndots:2 timeout:1
options rotate
sortlist 1.2.3.4
`;
  const conf = readResolvConf(text);
  t.deepEqual(conf as unknown, {
    nameservers: ['198.18.0.1', '198.18.0.2', 'fd00::53'],
    search: ['one.example', 'two.example'],
    options: ['ndots:2', 'timeout:1', 'rotate'],
  });
  t.deepEqual(readResolvConf(writeResolvConf(conf)), conf);
  t.deepEqual(readResolvConf(''), { nameservers: [], search: [], options: [] });
});
