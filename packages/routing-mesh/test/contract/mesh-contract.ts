import type { MeshClientLimits } from '@swarm/api';
import test from 'ava';
import { until } from '@swarm/sim';
import type { MeshCluster } from '../lab/cluster.js';
import { refusedAtOnce } from '../lab/expect.js';

/** What every mesh must do, whatever it is made of. Registers tests; `open` gives the cluster. */
export function meshContract(open: () => Promise<MeshCluster>): () => MeshCluster {
  let cluster: MeshCluster;
  const address = (index: number): string => cluster.nodes[index - 1]!.peer.address;

  test.before(async () => {
    cluster = await open();
  });
  test.afterEach.always(async () => {
    await cluster?.reset();
  });
  test.after.always(async () => {
    await cluster?.close();
  });

  test.serial('every node leads to every task', async (t) => {
    const tasks = [await cluster.task(1), await cluster.task(2), await cluster.task(3)];
    for (const task of tasks) {
      await cluster.publish(8070, [task]);
      for (const { peer } of cluster.nodes) {
        const answer = await cluster.client.agent.ask({ host: peer.address, port: 8070 });
        t.is(answer.task, task.taskId, `${peer.nodeId} to ${task.address}`);
      }
    }
  });

  test.serial('a client that ends its half still gets the answer', async (t) => {
    const task = await cluster.task(2);
    await cluster.publish(8071, [task]);
    const { agent } = cluster.client;
    const id = await agent.open({ host: address(1), port: 8071 });
    await agent.again(id);
    t.is(await agent.finish(id), `bye from ${task.taskId}`);
    await agent.end(id);
  });

  test.serial('UDP moves when its endpoint goes', async (t) => {
    const [old, next] = [await cluster.task(2), await cluster.task(3)];
    const { agent } = cluster.client;
    for (const task of [old, next]) {
      await cluster.publish(8072, [task], 'udp');
      for (const { peer } of cluster.nodes) {
        const answer = await agent.askUdp({ host: peer.address, port: 8072, localPort: 5001 });
        t.is(answer.task, task.taskId);
      }
    }
  });

  test.serial(
    'a port that is no longer published refuses clients, its connections continue',
    async (t) => {
      const task = await cluster.task(1);
      await cluster.publish(8073, [task]);
      const { agent } = cluster.client;
      const id = await agent.open({ host: address(2), port: 8073 });
      await agent.again(id);
      await cluster.unpublish();
      await refusedAtOnce(t, cluster, address(2), 8073);
      t.is((await agent.again(id)).task, task.taskId);
      await agent.end(id);
    },
  );

  test.serial('a port published on the host leads to its task on that node only', async (t) => {
    const task = await cluster.task(2, (targetPort) => [
      { protocol: 'tcp', publishedPort: 8074, targetPort },
      { protocol: 'udp', publishedPort: 8074, targetPort },
    ]);
    const { agent } = cluster.client;
    t.is((await agent.ask({ host: address(2), port: 8074 })).task, task.taskId);
    t.is((await agent.askUdp({ host: address(2), port: 8074 })).task, task.taskId);
    await refusedAtOnce(t, cluster, address(1), 8074);
    await task.node.agent.retain([]);
    await refusedAtOnce(t, cluster, address(2), 8074);
  });

  test.serial(
    'a port that a program of a host has is left to it there, and served once it is free',
    async (t) => {
      const task = await cluster.task(1);
      const { agent: host } = cluster.nodes[1]!;
      const { agent } = cluster.client;
      const at = async (index: number) =>
        (await agent.ask({ host: address(index), port: 8091 })).task;
      await host.serve({ name: 'program', port: 8091, host: address(2) });
      await cluster.publish(8091, [task]);
      t.is(await at(2), 'program');
      t.is(await at(1), task.taskId);
      t.like(await host.conflicts(), [{ Protocol: 'tcp', PublishedPort: 8091 }]);
      t.deepEqual(await cluster.nodes[0]!.agent.conflicts(), []);
      // Without endpoints nothing else changes.
      await cluster.publish(8091, []);
      t.is(await at(2), 'program');
      await cluster.publish(8091, [task]);
      await host.unserve();
      await until(
        'the node serves the port',
        async () => (await at(2).catch(() => '')) === task.taskId,
      );
      t.deepEqual(await host.conflicts(), []);
    },
  );

  test.serial('an older state than the one held changes nothing', async (t) => {
    const task = await cluster.task(1);
    const old = cluster.state();
    await cluster.publish(8075, [task]);
    const { generation } = await cluster.nodes[0]!.agent.apply(old);
    t.true(generation > old.generation);
    t.is((await cluster.client.agent.ask({ host: address(1), port: 8075 })).task, task.taskId);
  });

  test.serial('a removed endpoint keeps its connections and never gets a new one', async (t) => {
    const [old, next] = [await cluster.task(1), await cluster.task(2)];
    await cluster.publish(8084, [old]);
    const { agent } = cluster.client;
    const open = [];
    for (const { peer } of cluster.nodes) {
      open.push(await agent.open({ host: peer.address, port: 8084 }));
    }
    for (const id of open) await agent.again(id);
    const sockets = await cluster.sockets(old);
    t.is(await old.node.agent.connections(sockets), 3);
    t.true(await old.node.agent.listens(sockets));
    await cluster.publish(8084, [next]);
    for (const id of open) t.is((await agent.again(id)).task, old.taskId);
    for (let i = 0; i < 20; i++) {
      const { address: host } = cluster.nodes[i % 3]!.peer;
      t.is((await agent.ask({ host, port: 8084 })).task, next.taskId);
    }
    for (const id of open) await agent.end(id);
    await until(
      'no connection is left',
      async () => (await old.node.agent.connections(sockets)) === 0,
    );
    await old.agent.unserve();
    t.false(await old.node.agent.listens(sockets));
  });

  test.serial('connections spread evenly over the endpoints', async (t) => {
    const tasks = [await cluster.task(1), await cluster.task(2), await cluster.task(3)];
    await cluster.publish(8085, tasks);
    const seen = new Map<string, number>();
    const rounds = 240;
    for (let i = 0; i < rounds; i++) {
      const { task } = await cluster.client.agent.ask({ host: address(1), port: 8085 });
      seen.set(task, (seen.get(task) ?? 0) + 1);
    }
    const expected = rounds / tasks.length;
    const chiSquare = tasks
      .map(({ taskId }) => ((seen.get(taskId) ?? 0) - expected) ** 2 / expected)
      .reduce((a, b) => a + b);
    // Two degrees of freedom: an even spread exceeds 13.8 once in a thousand runs.
    t.true(chiSquare < 13.8, `chi square ${chiSquare}`);
  });

  test.serial(
    'a client never notices an endpoint that refuses while another is there',
    async (t) => {
      const [good, refusing] = [await cluster.task(1), await cluster.task(2)];
      await refusing.agent.unserve();
      await cluster.publish(8086, [good, refusing]);
      for (let i = 0; i < 30; i++) {
        const answer = await cluster.client.agent.ask({ host: address(3), port: 8086 });
        t.is(answer.task, good.taskId);
      }
      for (const node of cluster.nodes) {
        t.is((await node.agent.ask({ host: node.peer.address, port: 8086 })).task, good.taskId);
      }
    },
  );

  test.serial('a port without endpoints refuses at once, TCP and UDP', async (t) => {
    await cluster.publish(8090, []);
    await cluster.publish(8090, [], 'udp');
    for (const { peer } of cluster.nodes) {
      await refusedAtOnce(t, cluster, peer.address, 8090);
      const error = await t.throwsAsync(
        cluster.client.agent.askUdp({ host: peer.address, port: 8090 }),
      );
      t.is((error as NodeJS.ErrnoException).code, 'ECONNREFUSED');
    }
  });

  test.serial(
    'a client has as many connections as its limit, and keeps them when that changes',
    async (t) => {
      const task = await cluster.task(1);
      const publish = (limits?: MeshClientLimits) =>
        cluster.publish(8078, [task], 'tcp', limits === undefined ? {} : { limits });
      const { agent } = cluster.client;
      const to = { host: address(2), port: 8078 };
      const answered = async (id: number) => t.is((await agent.again(id)).task, task.taskId);
      await publish({ connections: 2 });
      const kept = [await agent.open(to), await agent.open(to)];
      for (const id of kept) await answered(id);
      const startMs = performance.now();
      const error = await t.throwsAsync(agent.ask({ ...to, timeoutMs: 5000 }));
      t.regex((error as NodeJS.ErrnoException).code ?? '', /ECONNREFUSED|ECONNRESET/);
      t.true(performance.now() - startMs < 900, 'at once');
      for (const id of kept) await answered(id);
      t.is((await agent.ask({ ...to, host: address(3) })).task, task.taskId, 'each node counts');
      await agent.end(kept.pop()!);
      await until('the next connection is admitted', () =>
        agent.ask({ ...to, timeoutMs: 5000 }).then(
          () => true,
          () => undefined,
        ),
      );
      for (const limits of [{ connections: 1 }, { connections: 1, rate: 1 }, undefined]) {
        await publish(limits);
        for (const id of kept) await answered(id);
      }
      t.is((await agent.ask(to)).task, task.taskId, 'no limits any more');
      for (const id of kept) await agent.end(id);
    },
  );

  test.serial(
    'a client opens as many connections in a time as its limit, TCP and UDP',
    async (t) => {
      const task = await cluster.task(3);
      const limits = { rate: 2, per: 'hour', burst: 3 } as const;
      const { agent } = cluster.client;
      for (const protocol of ['tcp', 'udp'] as const) {
        await cluster.publish(8079, [task], protocol, { limits });
        const ask = protocol === 'tcp' ? agent.ask : agent.askUdp;
        const to = { host: address(1), port: 8079, timeoutMs: 1500 };
        for (let i = 0; i < 3; i += 1) t.is((await ask(to)).task, task.taskId, `${protocol} ${i}`);
        for (let i = 0; i < 2; i += 1)
          await t.throwsAsync(ask(to), undefined, `${protocol} beyond`);
        t.is((await ask({ ...to, host: address(2) })).task, task.taskId, 'each node counts');
        await cluster.publish(8079, [task], protocol);
        t.is((await ask(to)).task, task.taskId, 'no limits any more');
      }
    },
  );

  test.serial('the PROXY protocol tells a task who its client is, by every node', async (t) => {
    const task = await cluster.task(3);
    const { agent } = cluster.client;
    const localPort = 5020;
    for (const [i, proxyProtocol] of (['v1', 'v2'] as const).entries()) {
      await cluster.publish(8077, [task], 'tcp', { proxyProtocol, limits: { connections: 1 } });
      for (const index of [1, 3]) {
        const to = { host: address(index), port: 8077 };
        const own = { ...to, localPort: localPort + 2 * i + (index === 1 ? 0 : 1) };
        const id = await agent.open(own);
        const { task: found, proxied } = await agent.again(id);
        t.is(found, task.taskId);
        t.regex(
          proxied ?? '',
          new RegExp(`^${proxyProtocol} (198.18.0.100|127\\.\\S+) ${own.localPort}$`),
        );
        t.is((await agent.again(id)).proxied, proxied, 'once, before the first byte');
        await t.throwsAsync(agent.ask({ ...to, timeoutMs: 3000 }), undefined, 'beyond the limit');
        await agent.end(id);
      }
    }
    await cluster.publish(8077, [task]);
    const plain = await agent.ask({ host: address(1), port: 8077 });
    t.deepEqual([plain.task, plain.proxied], [task.taskId, undefined], 'without again');
  });

  test.serial('64 KiB go through, in one piece', async (t) => {
    const task = await cluster.task(2);
    await cluster.publish(8092, [task]);
    for (const from of [cluster.client, cluster.nodes[0]!]) {
      const bytes = await from.agent.upload({ host: address(1), port: 8092, bytes: 65_536 });
      t.is(bytes, 65_536);
    }
  });

  test.serial('clients of a node that is gone get a reset', async (t) => {
    const task = await cluster.task(3);
    await cluster.publish(8093, [task]);
    const { agent } = cluster.client;
    const id = await agent.open({ host: address(1), port: 8093, timeoutMs: 20_000 });
    await agent.again(id);
    await cluster.apply((state) => ({ ...state, peers: state.peers.slice(0, 2) }));
    const error = await t.throwsAsync(agent.again(id));
    t.is((error as NodeJS.ErrnoException).code, 'ECONNRESET');
    await refusedAtOnce(t, cluster, address(1), 8093);
    await cluster.apply();
    t.is((await agent.ask({ host: address(1), port: 8093 })).task, task.taskId, 'it is back');
  });

  test.serial(
    'clients of a node that is down get a reset, and it still leads to tasks of others',
    async (t) => {
      const [away, other] = [await cluster.task(3), await cluster.task(2)];
      await cluster.publish(8096, [away]);
      const { agent } = cluster.client;
      const id = await agent.open({ host: address(1), port: 8096, timeoutMs: 20_000 });
      await agent.again(id);
      const down = cluster.nodes[2]!.peer.nodeId;
      await cluster.publish(8096, [other]);
      await cluster.apply((state) => ({
        ...state,
        peers: state.peers.map((peer) => (peer.nodeId === down ? { ...peer, down: true } : peer)),
      }));
      const error = await t.throwsAsync(agent.again(id));
      t.is((error as NodeJS.ErrnoException).code, 'ECONNRESET');
      t.is((await agent.ask({ host: address(3), port: 8096 })).task, other.taskId);
      await cluster.apply();
    },
  );

  test.serial('rolling three endpoints under load fails no request', async (t) => {
    let tasks = [await cluster.task(1), await cluster.task(2), await cluster.task(3)];
    await cluster.publish(8094, tasks);
    const { agent } = cluster.client;
    await agent.loadStart({ host: address(1), port: 8094, workers: 4 });
    for (const old of tasks) {
      const next = await cluster.task(old.node.peer.index);
      tasks = [...tasks.filter((task) => task !== old), next];
      await cluster.publish(8094, tasks);
      const sockets = await cluster.sockets(old);
      await until(
        'no connection is left',
        async () => (await old.node.agent.connections(sockets)) === 0,
      );
      await cluster.stop(old);
    }
    const result = await agent.loadStop();
    t.log(`${result.ok} requests`);
    t.deepEqual(result.errors, []);
    t.true(result.ok > 50);
  });

  return () => cluster;
}
