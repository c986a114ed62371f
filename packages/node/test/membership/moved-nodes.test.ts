import { decodeInitRequest } from '@swarm/api';
import { until } from '@swarm/sim';
import test from 'ava';
import { freePort, type Lifetime, type TestNode, testNode, tokenOf } from '../support/nodes.js';

const NOTHING = { listenAddr: '', advertiseAddr: '', dataPathAddr: '' };

async function threeManagers(t: Lifetime): Promise<[TestNode, TestNode, TestNode]> {
  const first = await testNode(t);
  await first.init();
  const others = [await testNode(t), await testNode(t)] as const;
  for (const each of others) await each.join(tokenOf(first, 'Manager'), first.address);
  return [first, ...others];
}

const addressesAt = (node: TestNode) =>
  node.daemon
    .manager()
    ?.members()
    .map(({ address }) => address)
    .sort();

/** Waits until each manager knows where all of them are, in the group and for agents. */
async function untilKnown(nodes: readonly TestNode[], ready = nodes.length): Promise<void> {
  const wanted = nodes.map(({ address }) => address).sort();
  for (const node of nodes) {
    await until(
      `${node.address} knows all addresses`,
      () => String(addressesAt(node)) === String(wanted),
    );
    await until('agents hear of them', () => {
      const stored = [...node.daemon.manager()!.store.list('node')];
      return String(stored.flatMap((each) => each.ManagerAddr ?? []).sort()) === String(wanted);
    });
  }
  await untilReady(nodes[0]!, ready);
}

const untilReady = (manager: TestNode, count: number) =>
  until(
    `${count} nodes are ready`,
    () =>
      [...(manager.daemon.manager()?.store.list('node') ?? [])].filter(
        ({ Status }) => Status.State === 'ready',
      ).length === count,
  );

test('a manager that comes back at another address is found again', async (t) => {
  const [first, second, third] = await threeManagers(t);
  // The leader first, then a follower.
  const moved = await first.startElsewhere();
  await untilKnown([moved, second, third]);
  await untilKnown([moved, second, await third.startElsewhere()]);
  t.pass();
});

test('two of three managers move at once and heal by the address of the third', async (t) => {
  const [first, second, third] = await threeManagers(t);
  await Promise.all([first.end(), second.end()]);
  await untilKnown([await first.startElsewhere(), await second.startElsewhere(), third]);
  t.pass();
});

test('when all managers moved, each needs the address of one other, and so does a worker', async (t) => {
  const nodes = await threeManagers(t);
  const worker = await testNode(t);
  await worker.join(tokenOf(nodes[0], 'Worker'), nodes[0].address);
  await Promise.all(nodes.map((each) => each.end()));
  const moved: TestNode[] = [];
  for (const each of nodes) moved.push(await each.startElsewhere());
  const [first, second, third] = moved as [TestNode, TestNode, TestNode];
  await t.throwsAsync(
    second.daemon.reconnect({ ...NOTHING, remoteAddrs: [nodes[0].address] }),
    { code: 'TIMEOUT' },
    'nobody is at the old address',
  );
  await second.daemon.reconnect({ ...NOTHING, remoteAddrs: [first.address] });
  await third.daemon.reconnect({ ...NOTHING, remoteAddrs: [second.address] });
  await worker.daemon.reconnect({ ...NOTHING, remoteAddrs: [third.address] });
  await untilKnown(moved, 4);
  t.pass();
});

test('a manager changes its address while it runs, and keeps the old one if it cannot', async (t) => {
  const node = await testNode(t);
  await node.init();
  const next = `127.0.0.1:${await freePort()}`;
  const taken = await testNode(t);
  await taken.init();
  await t.throwsAsync(
    node.daemon.reconnect({
      ...NOTHING,
      listenAddr: taken.address,
      advertiseAddr: taken.address,
      remoteAddrs: [],
    }),
    { message: /is taken by another program/ },
  );
  await until('it leads at the old address', () => node.daemon.manager()?.isLeader() === true);
  t.deepEqual(addressesAt(node), [node.address]);
  await node.daemon.reconnect({
    ...NOTHING,
    listenAddr: next,
    advertiseAddr: next,
    remoteAddrs: [],
  });
  await untilKnown([{ ...node, address: next }]);
  const again = await testNode(t, { folder: node.folder, address: next, start: false });
  await node.end();
  await again.daemon.start();
  await untilKnown([again]);
});

test('a forced new cluster with another address has its own node at once', async (t) => {
  const [first, second, third] = await threeManagers(t);
  await Promise.all([second.end(), third.end()]);
  const next = `127.0.0.1:${await freePort()}`;
  await first.daemon.init(
    decodeInitRequest({
      ForceNewCluster: true,
      ListenAddr: next,
      AdvertiseAddr: next,
      DataPathAddr: '127.0.0.2',
      Spec: {},
    }),
  );
  t.deepEqual(addressesAt(first), [next]);
  await until('its own node is ready by the new address', () => {
    const { nodeId } = first.daemon.info();
    const own = first.daemon.manager()?.store.get('node', nodeId);
    return own?.ManagerAddr === next && own.Status.State === 'ready';
  });
});

test('a forced new cluster that cannot listen at its new address goes on at the old one', async (t) => {
  const [first, second, third] = await threeManagers(t);
  await Promise.all([second.end(), third.end()]);
  const taken = await testNode(t);
  await taken.init();
  const force = (address: string) =>
    first.daemon.init(
      decodeInitRequest({
        ForceNewCluster: true,
        ListenAddr: address,
        AdvertiseAddr: address,
        Spec: {},
      }),
    );
  await t.throwsAsync(force(taken.address), { message: /is taken by another program/ });
  t.true(first.daemon.info().controlAvailable, 'its manager runs, so that the user can try again');
  await force(first.address);
  t.deepEqual(addressesAt(first), [first.address]);
  await untilReady(first, 1);
});
