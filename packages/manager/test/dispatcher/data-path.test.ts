import { type IpAddress, type NodeDescription, parseIpAddress } from '@swarm/api';
import test from 'ava';
import fc from 'fast-check';
import { DataPathClaims } from '../../src/dispatcher/data-path-claims.js';
import { meshState } from '../../src/dispatcher/index.js';
import { nodeDraft, put } from '../support/objects.js';
import { DESCRIPTION, helloOf, DispatcherWorld } from './harness.js';

const ip = (text: string): IpAddress => parseIpAddress(text)!;
const [A, B, C] = ['198.18.0.1', '198.18.0.2', '198.18.0.3'].map(ip) as [
  IpAddress,
  IpAddress,
  IpAddress,
];

// --- Who has an address

test('the first that wants an address keeps it, and the next gets it when the first is gone', (t) => {
  const claims = new DataPathClaims();
  t.deepEqual(claims.set('one', { from: B, address: A }), []);
  t.deepEqual(claims.set('two', { from: C, address: A }), []);
  t.is(claims.inTheWayOf('one'), undefined);
  t.is(claims.inTheWayOf('two'), 'one');
  t.deepEqual(claims.set('one', undefined), ['two']);
  t.is(claims.inTheWayOf('two'), undefined);
});

test('who connects from an address gets it from one that only says so', (t) => {
  const claims = new DataPathClaims();
  claims.set('thief', { from: B, address: A });
  t.deepEqual(claims.set('owner', { from: A, address: A }), ['thief']);
  t.is(claims.inTheWayOf('owner'), undefined);
  t.is(claims.inTheWayOf('thief'), 'owner');
});

test('an address that another node connects from is not given away, whatever its own data path is', (t) => {
  const claims = new DataPathClaims();
  claims.set('owner', { from: A, address: C });
  claims.set('thief', { from: B, address: A });
  t.is(claims.inTheWayOf('thief'), 'owner');
  t.deepEqual(claims.set('owner', undefined), ['thief']);
});

test('a host that joined again has its address at once, not when its former node is down', (t) => {
  const claims = new DataPathClaims();
  claims.set('former', { from: A, address: A });
  claims.set('thief', { from: B, address: A });
  t.deepEqual(claims.disconnected('former'), []);
  t.is(
    claims.inTheWayOf('former'),
    undefined,
    'a word alone takes nothing from a node that is away',
  );
  t.deepEqual(claims.set('again', { from: A, address: A }), ['former']);
  t.is(claims.inTheWayOf('again'), undefined);
  t.is(claims.inTheWayOf('former'), 'again');
  t.is(claims.inTheWayOf('thief'), 'again');
  claims.set('again', undefined);
  t.deepEqual(claims.set('former', { from: A, address: A }), []);
  t.is(claims.inTheWayOf('former'), undefined);
});

test('a node that is away from an address which it does not use keeps others from it', (t) => {
  const claims = new DataPathClaims();
  claims.set('owner', { from: A, address: C });
  claims.set('thief', { from: B, address: A });
  t.deepEqual(claims.disconnected('owner'), []);
  t.is(claims.inTheWayOf('thief'), 'owner');
});

test('a node that takes another address leaves the one it had', (t) => {
  const claims = new DataPathClaims();
  claims.set('one', { from: C, address: A });
  claims.set('two', { from: C, address: A });
  t.deepEqual(claims.set('one', { from: C, address: B }), ['two']);
  t.is(claims.inTheWayOf('two'), undefined);
  t.is(claims.inTheWayOf('one'), undefined);
});

test('nodes without a tunnel share an address and keep nobody from it', (t) => {
  const claims = new DataPathClaims();
  claims.set('one', { from: A, address: undefined });
  claims.set('two', { from: A, address: undefined });
  claims.set('kernel', { from: A, address: A });
  for (const node of ['one', 'two', 'kernel']) t.is(claims.inTheWayOf(node), undefined, node);
});

test('whatever comes in whatever order, an address has one node at most, and who is told is right', (t) => {
  const address = fc.constantFrom(A, B, C, undefined);
  const step = fc.record({
    node: fc.constantFrom('a', 'b', 'c', 'd'),
    claim: fc.option(fc.record({ from: address, address }), { nil: undefined }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const claims = new DataPathClaims();
      const now = new Map<string, { from?: IpAddress; address?: IpAddress }>();
      const held = () =>
        [...now].flatMap(([node, { address: at }]) =>
          at !== undefined && claims.inTheWayOf(node) === undefined ? [`${at} ${node}`] : [],
        );
      for (const { node, claim } of steps) {
        const before = held();
        const changed = claims.set(node, claim);
        if (claim === undefined) now.delete(node);
        else now.set(node, claim as { from?: IpAddress; address?: IpAddress });
        const after = held();
        const addresses = after.map((pair) => pair.split(' ')[0]);
        t.is(new Set(addresses).size, addresses.length, 'one node an address');
        const differ = [
          ...before.filter((pair) => !after.includes(pair)),
          ...after.filter((pair) => !before.includes(pair)),
        ].map((pair) => pair.split(' ')[1]!);
        t.deepEqual(
          [...changed].sort(),
          [...new Set(differ)].filter((each) => each !== node && now.has(each)).sort(),
        );
        // Who proves an address is only beaten by another proof.
        for (const [each, { from, address: at }] of now) {
          const winner = claims.inTheWayOf(each);
          if (at === undefined || from !== at || winner === undefined) continue;
          t.is(now.get(winner)?.from, at);
        }
      }
    }),
    { numRuns: 500 },
  );
});

// --- What a session makes of it

const place = (Index: number) => ({ Index, Address: '', Subnet: `10.240.${Index}.0/24` });

async function worldOf(
  t: Parameters<typeof DispatcherWorld.create>[0],
  nodes: Record<string, string>,
) {
  const world = await DispatcherWorld.create(t);
  let index = 0;
  for (const [id, remote] of Object.entries(nodes)) {
    index += 1;
    const Status = { State: 'unknown', Addr: '' } as const;
    await put(world.store, 'node', nodeDraft(id, { Mesh: place(index), Status }));
    world.remoteAddresses.set(id, remote);
  }
  world.dispatcher.start();
  const node = (id: string) => world.store.get('node', id)!;
  const peers = () => meshState(world.store, 1).peers.map(({ nodeId }) => nodeId);
  return { world, node, peers };
}

test('a node that claims another’s data path address gets none, says so, and is no peer', async (t) => {
  const { world, node, peers } = await worldOf(t, { n1: '198.18.0.1', n2: '198.18.0.2' });
  await world.join('n1', { dataPathAddr: '198.18.0.1' });
  await world.join('n2', { dataPathAddr: '198.18.0.1' });
  t.is(node('n1').Mesh?.Address, '198.18.0.1');
  t.is(node('n2').Mesh?.Address, '');
  t.is(node('n2').Status.State, 'ready');
  t.regex(
    node('n2').Status.Message ?? '',
    /198\.18\.0\.1 belongs to node n1; remove that node .*--data-path-addr/,
  );
  t.is(node('n1').Status.Message, undefined);
  t.deepEqual(peers(), ['n1']);
});

test('a node of the same host gets its place when the session before it has ended', async (t) => {
  const { world, node, peers } = await worldOf(t, { old: '198.18.0.1', young: '198.18.0.1' });
  const old = await world.join('old', { dataPathAddr: '198.18.0.1' });
  old.vanish();
  await world.until(() => !world.dispatcher.isConnected('old'), 'the end of the session');
  await world.join('young', { dataPathAddr: '198.18.0.1' });
  await world.until(() => node('young').Mesh?.Address === '198.18.0.1', 'the address');
  t.is(node('young').Status.Message, undefined);
  t.deepEqual(peers(), ['young']);
});

test('the address of a node that is down is free, also when that node comes back', async (t) => {
  const { world, node, peers } = await worldOf(t, { old: '198.18.0.9', young: '198.18.0.1' });
  const old = await world.join('old', { dataPathAddr: '198.18.0.1' });
  old.vanish();
  await world.until(() => old.closed, 'the end of the session');
  await world.pass(10_000, []);
  t.is(world.state('old'), 'down');
  t.deepEqual(peers(), ['old'], 'its routes stay while nobody wants the address');
  await world.join('young', { dataPathAddr: '198.18.0.1' });
  t.is(node('young').Mesh?.Address, '198.18.0.1');
  t.deepEqual(peers(), ['young']);
  await world.join('old', { dataPathAddr: '198.18.0.1' });
  t.is(node('old').Mesh?.Address, '');
  t.regex(node('old').Status.Message ?? '', /belongs to node young/);
  t.deepEqual(peers(), ['young']);
});

test('a node that waits for an address gets it when the other is removed', async (t) => {
  const { world, node, peers } = await worldOf(t, { n1: '198.18.0.8', n2: '198.18.0.9' });
  await world.join('n1', { dataPathAddr: '198.18.0.1' });
  await world.join('n2', { dataPathAddr: '198.18.0.1' });
  t.is(node('n2').Mesh?.Address, '');
  await world.store.transact((transaction) => transaction.remove('node', 'n1'));
  await world.until(() => node('n2').Mesh?.Address === '198.18.0.1', 'the address');
  t.is(node('n2').Status.Message, undefined);
  t.deepEqual(peers(), ['n2']);
});

test('the owner of an address gets it back from one that took it while it was away', async (t) => {
  const { world, node, peers } = await worldOf(t, { thief: '198.18.0.9', owner: '198.18.0.1' });
  const thief = await world.join('thief', { dataPathAddr: '198.18.0.1' });
  t.is(node('thief').Mesh?.Address, '198.18.0.1');
  await world.join('owner', { dataPathAddr: '198.18.0.1' });
  await world.until(() => node('thief').Mesh?.Address === '', 'the loss');
  t.deepEqual(peers(), ['owner']);
  t.is((await thief.next('node')).node.Mesh?.Address, '');
});

test('a new leader knows who has which address, before anybody came back', async (t) => {
  const { world, node, peers } = await worldOf(t, { n1: '198.18.0.8', n2: '198.18.0.9' });
  await world.join('n1', { dataPathAddr: '198.18.0.1' });
  await world.dispatcher.stop();
  world.dispatcher.start();
  await world.join('n2', { dataPathAddr: '198.18.0.1' });
  t.is(node('n2').Mesh?.Address, '');
  t.deepEqual(peers(), ['n1']);
});

test('a node whose address is proven another’s loses it, also before it came back to a new leader', async (t) => {
  const { world, node, peers } = await worldOf(t, { a: '198.18.0.8', b: '198.18.0.1' });
  await world.join('a', { dataPathAddr: '198.18.0.1' });
  await world.dispatcher.stop();
  world.dispatcher.start();
  await world.join('b', { dataPathAddr: '198.18.0.1' });
  await world.until(() => node('a').Mesh?.Address === '', 'the loss');
  t.deepEqual(peers(), ['b']);
});

test('an address that cannot be a data path address does not count, and the node says so', async (t) => {
  const { world, node, peers } = await worldOf(t, { n1: '198.18.0.1' });
  for (const dataPathAddr of ['198.18.0.1\nlink del eth0', 'host']) {
    const agent = await world.connect('n1');
    agent.send(helloOf({ dataPathAddr }));
    t.regex((await agent.next('session-end')).reason, /dataPathAddr/, dataPathAddr);
  }
  const bad = ['0.0.0.0', '169.254.169.254', '255.255.255.255', '127.0.0.1', '::1'];
  for (const dataPathAddr of bad) {
    await world.join('n1', { dataPathAddr });
    t.is(node('n1').Mesh?.Address, '', dataPathAddr);
    t.regex(node('n1').Status.Message ?? '', /cannot reach its data path address/, dataPathAddr);
    t.is(node('n1').Status.Addr, '198.18.0.1');
    t.deepEqual(peers(), []);
  }
  await world.join('n1', { dataPathAddr: '::FFFF:198.18.0.5' });
  t.is(node('n1').Mesh?.Address, '198.18.0.5', 'in its one spelling');
  t.is(node('n1').Status.Message, undefined);
});

const USERSPACE: NodeDescription = { ...DESCRIPTION, MeshBackend: 'userspace' };

test('nodes without a tunnel share one address, and are where they connect from', async (t) => {
  const { world, node, peers } = await worldOf(t, { n1: '198.18.0.1', n2: '198.18.0.1' });
  await world.join('n1', { dataPathAddr: '198.18.0.1', description: USERSPACE });
  await world.join('n2', { dataPathAddr: '198.18.0.66', description: USERSPACE });
  for (const id of ['n1', 'n2']) {
    t.is(node(id).Mesh?.Address, '198.18.0.1');
    t.is(node(id).Status.Message, undefined);
  }
  t.deepEqual(peers(), ['n1', 'n2']);
});

test('nodes without root on the leader’s host are at the loopback address they name, and at no other', async (t) => {
  const { world, node } = await worldOf(t, { n1: '127.0.0.1', n2: '::ffff:127.0.0.1' });
  await world.join('n1', { dataPathAddr: '127.0.77.51', description: USERSPACE });
  await world.join('n2', { dataPathAddr: '198.18.0.66', description: USERSPACE });
  t.is(node('n1').Mesh?.Address, '127.0.77.51');
  t.is(node('n1').Status.Addr, '127.0.77.51');
  t.is(node('n2').Mesh?.Address, '127.0.0.1');
});

test('a node that turns out to have a tunnel must have an address of its own', async (t) => {
  const { world, node } = await worldOf(t, { n1: '198.18.0.1', n2: '198.18.0.1' });
  await world.join('n1', { dataPathAddr: '198.18.0.1' });
  const agent = await world.join('n2', { dataPathAddr: '198.18.0.1', description: USERSPACE });
  agent.send({ type: 'description', description: DESCRIPTION });
  await world.until(() => node('n2').Mesh?.Address === '', 'the loss');
  t.regex(node('n2').Status.Message ?? '', /belongs to node n1/);
});
