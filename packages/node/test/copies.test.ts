import { cp, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { until } from '@swarm/sim';
import { freePort, type TestNode, testNode, tokenOf } from './support/nodes.js';

/** Copies a node's data folder, as to another host: the copy has another address. */
async function copyOf(t: ExecutionContext, node: TestNode): Promise<TestNode> {
  const folder = await mkdtemp(join(tmpdir(), 'swarm-copy-'));
  await cp(node.folder, folder, {
    recursive: true,
    filter: (path) => !/daemon\.pid$|LOCK$/.test(path),
  });
  const port = await freePort();
  const path = join(folder, 'node.json');
  const state = JSON.parse(await readFile(path, 'utf8'));
  state.advertiseAddress = `127.0.0.1:${port}`;
  state.listen.port = port;
  await writeFile(path, JSON.stringify(state));
  return testNode(t, { folder, address: state.advertiseAddress });
}

const COPY = /another daemon, at 127\.0\.0\.1, already runs as node .*leave --force/;

test('the copy of a worker is refused, says why, and leaves without harm to the first', async (t) => {
  const first = await testNode(t);
  await first.init();
  const worker = await testNode(t);
  await worker.join(tokenOf(first, 'Worker'), first.address);
  const { store } = first.daemon.manager()!;
  const { nodeId } = worker.daemon.info();
  const copy = await copyOf(t, worker);
  await until('the reason', () => COPY.test(copy.daemon.info().error));
  t.is(worker.daemon.info().error, '');
  await until('the node list says so', () =>
    /a second daemon, at 127\.0\.0\.1, runs with this node's identity/.test(
      store.get('node', nodeId)?.Status.Message ?? '',
    ),
  );
  await copy.daemon.leave({ force: true });
  t.is(copy.daemon.info().state, 'inactive');
  t.is(store.get('node', nodeId)?.Status.State, 'ready');
  await copy.join(tokenOf(first, 'Worker'), first.address);
  t.not(copy.daemon.info().nodeId, nodeId);
  t.is([...store.list('node')].length, 3);
});

test('the copy of a manager does not speak for it in Raft, nor take it out when it leaves', async (t) => {
  const first = await testNode(t);
  await first.init();
  const second = await testNode(t);
  await second.join(tokenOf(first, 'Manager'), first.address);
  const { nodeId } = second.daemon.info();
  const copy = await copyOf(t, second);
  await until('the reason', () => COPY.test(copy.daemon.info().error));
  const refusals = () => copy.log.filter((line) => /already runs as manager/.test(line));
  await until('the refusal by Raft', () => refusals().length > 0);
  const memberOf = () =>
    first.daemon
      .manager()!
      .members()
      .find((member) => member.nodeId === nodeId);
  t.like(memberOf(), { address: second.address, reachability: 'reachable' });
  await copy.daemon.leave({ force: true });
  t.like(memberOf(), { address: second.address, reachability: 'reachable' });
  t.is(first.daemon.manager()!.store.get('node', nodeId)?.Spec.Role, 'manager');
  await t.notThrowsAsync(second.daemon.manager()!.readBarrier());
});
