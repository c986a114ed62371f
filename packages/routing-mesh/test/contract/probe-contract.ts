import test from 'ava';
import { until } from '@swarm/sim';
import type { PartsLab } from '../lab/parts-lab.js';

/** What every SocketProbe must do, whatever it is made of. `opened` gives the host of other contracts. */
export function probeContract(opened: () => PartsLab): void {
  test.serial('probe: a task listens once all its ports are open, TCP and UDP', async (t) => {
    const host = opened();
    const task = await host.task(1);
    const { agent } = host.node;
    const tcp = await host.sockets(task);
    const both = { ...tcp, ports: [...tcp.ports, { protocol: 'udp', port: task.port } as const] };
    t.true(await agent.probeListens(both));
    t.true(await agent.probeListens({ ...tcp, ports: [] }));
    const more = { protocol: 'tcp', port: task.port + 1 } as const;
    t.false(await agent.probeListens({ ...tcp, ports: [...tcp.ports, more] }));
    await task.agent.unserve();
    t.false(await agent.probeListens(tcp));
  });

  test.serial(
    'probe: a listener at an address of another family or task does not count',
    async (t) => {
      const host = opened();
      const task = await host.task(1);
      const { agent } = host.node;
      const sockets = await host.sockets(task);
      await task.agent.unserve();
      await task.agent.serve({ name: 'loopback', port: task.port, host: '127.0.0.1' });
      t.false(await agent.probeListens(sockets));
      t.true(
        await agent.probeListens({ ...sockets, addresses: ['127.0.0.1', ...sockets.addresses] }),
      );
    },
  );

  test.serial('probe: a listener at any IPv6 address counts', async (t) => {
    const host = opened();
    const task = await host.task(1);
    const sockets = await host.sockets(task);
    await task.agent.unserve();
    await task.agent.serve({ name: 'any', port: task.port, host: '::' });
    t.true(await host.node.agent.probeListens(sockets));
  });

  test.serial(
    'probe: connections count while the client may still send, on the task’s ports only',
    async (t) => {
      const host = opened();
      const task = await host.task(1);
      const { agent } = host.node;
      const sockets = await host.sockets(task);
      const count = (change = {}) => agent.probeConnections({ ...sockets, ...change });
      t.is(await count(), 0);
      const from = host.backend !== 'userspace' ? host.node.agent : host.client.agent;
      const ids = [
        await from.open({ host: task.address, port: task.port }),
        await from.open({ host: task.address, port: task.port }),
      ];
      for (const id of ids) await from.again(id);
      t.is(await count(), 2);
      t.is(await count({ ports: [], isOpen: true }), 2, 'open to others on all ports');
      t.is(await count({ ports: [{ protocol: 'tcp', port: task.port + 1 }] }), 0);
      t.is(await count({ ports: [{ protocol: 'udp', port: task.port }] }), 0);
      t.is(await count({ addresses: ['10.9.9.9', 'fd00::9'] }), 0);
      for (const id of ids) await from.end(id);
      await until('no listener is left', async () => (await count()) === 0);
    },
  );

  test.serial('probe: a task that is gone has no connections and does not listen', async (t) => {
    const host = opened();
    const task = await host.task(1);
    const sockets = await host.sockets(task);
    await task.agent.stop();
    t.is(await host.node.agent.probeConnections(sockets), 0);
    t.false(await host.node.agent.probeListens(sockets));
    t.false(await host.node.agent.probeListens({ ...sockets, pid: 0 }));
  });
}
