import { parseIpAddress } from '@swarm/api';
import test from 'ava';
import type { Target } from '../src/balancer/userspace/target.js';
import { TargetOrder } from '../src/balancer/userspace/target-order.js';

const target = (name: string, weight = 1): Target => ({
  nodeId: 'n',
  address: parseIpAddress('127.0.0.1')!,
  port: 1,
  name,
  weight,
});

test('a client begins at random by weight, and tries the others in turn', (t) => {
  const order = new TargetOrder([target('a', 3), target('b', 1), target('c', 0)], {
    hasAffinity: false,
  });
  const first = (random: number) => order.of('', random, 5).map(({ name }) => name);
  t.deepEqual(first(0), ['a', 'b']);
  t.deepEqual(first(0.74), ['a', 'b']);
  t.deepEqual(first(0.76), ['b', 'a'], 'the one of weight 0 gets nothing');
});

test('when all weights are 0, all are tried', (t) => {
  const order = new TargetOrder([target('a', 0), target('b', 0)], { hasAffinity: false });
  t.deepEqual(
    order.of('', 0.6, 5).map(({ name }) => name),
    ['b', 'a'],
  );
});

test('with affinity the address decides, whatever chance says, and others come only when it refuses', (t) => {
  const list = ['a', 'b', 'c', 'd'].map((name) => target(name));
  const order = new TargetOrder(list, { hasAffinity: true });
  const firsts = new Set<string>();
  for (let i = 0; i < 200; i += 1) {
    const client = `198.18.0.${i}`;
    const [first] = order.of(client, 0, 5);
    t.is(order.of(client, 0.9, 5)[0], first);
    t.is(order.of(client, 0.9, 5).length, 4);
    firsts.add(first!.name);
  }
  t.is(firsts.size, 4, 'all of them get clients');
});
