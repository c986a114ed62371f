import test from 'ava';
import { refusedAtOnce } from '../lab/expect.js';
import type { PartsLab } from '../lab/parts-lab.js';

/** What every LoadBalancer must do, whatever it is made of. Registers tests; `open` gives the host. */
export function balancerContract(open: () => Promise<PartsLab>): () => PartsLab {
  let host: PartsLab;
  const ask = (port: number) => host.client.agent.ask({ host: host.address, port });

  test.before(async () => {
    host = await open();
  });
  test.afterEach.always(async () => {
    await host?.reset();
  });
  test.after.always(async () => {
    await host?.close();
  });

  test.serial(
    'balancer: clients are led to all endpoints of their port, and to no other',
    async (t) => {
      const [one, other, stranger] = [await host.task(1), await host.task(2), await host.task(1)];
      await host.balance([host.port(8200, [one, other]), host.port(8201, [stranger])]);
      const seen = new Set<string>();
      // All of 40 at one of two endpoints happens once in 5e11 runs.
      for (let i = 0; i < 40; i++) seen.add((await ask(8200)).task);
      t.deepEqual([...seen].sort(), [one.taskId, other.taskId].sort());
      t.is((await ask(8201)).task, stranger.taskId);
    },
  );

  test.serial(
    'balancer: a connection goes on when its endpoint goes, and none is led there again',
    async (t) => {
      const [old, next] = [await host.task(1), await host.task(1)];
      await host.balance([host.port(8202, [old])]);
      const { agent } = host.client;
      const id = await agent.open({ host: host.address, port: 8202 });
      await agent.again(id);
      await host.balance([host.port(8202, [next])]);
      t.is((await agent.again(id)).task, old.taskId);
      for (let i = 0; i < 20; i++) t.is((await ask(8202)).task, next.taskId);
      await agent.end(id);
    },
  );

  test.serial(
    'balancer: a port without endpoints refuses at once, and so does one that is gone',
    async (t) => {
      const task = await host.task(1);
      await host.balance([host.port(8203, [])]);
      await refusedAtOnce(t, host, host.address, 8203);
      await host.balance([host.port(8203, [task])]);
      t.is((await ask(8203)).task, task.taskId);
      await host.balance([]);
      await refusedAtOnce(t, host, host.address, 8203);
    },
  );

  test.serial('balancer: a port without endpoints refuses its own node too', async (t) => {
    const task = await host.task(1);
    const addresses =
      host.backend !== 'userspace' ? [host.address, '127.0.0.1', '::1'] : [host.address];
    const refused = async (when: string): Promise<void> => {
      for (const address of addresses) {
        await refusedAtOnce(t, { client: host.node }, address, 8212, when);
        if (address.includes(':')) continue;
        const error = await t.throwsAsync(host.node.agent.askUdp({ host: address, port: 8212 }));
        t.is((error as NodeJS.ErrnoException).code, 'ECONNREFUSED', `UDP ${address} ${when}`);
      }
    };
    const both = (tasks: (typeof task)[]) => [
      host.port(8212, tasks),
      host.port(8212, tasks, 'udp'),
    ];
    await host.balance(both([]));
    await refused('from the start');
    await host.balance(both([task]));
    t.is((await host.node.agent.ask({ host: host.address, port: 8212 })).task, task.taskId);
    await host.balance(both([]));
    await refused('afterwards');
  });

  test.serial('balancer: a UDP client moves when its endpoint goes', async (t) => {
    const [old, next] = [await host.task(1), await host.task(2)];
    for (const task of [old, next, old]) {
      await host.balance([host.port(8204, [task], 'udp')]);
      const to = { host: host.address, port: 8204, localPort: 5010 };
      t.is((await host.client.agent.askUdp(to)).task, task.taskId);
    }
  });

  test.serial(
    'balancer: a UDP client whose socket is older than its port is answered',
    async (t) => {
      const task = await host.task(1);
      const { agent } = host.client;
      const to = { host: host.address, port: 8209, localPort: 5011 };
      const refused = async (when: string): Promise<void> => {
        const error = await t.throwsAsync(agent.askUdp(to));
        t.is((error as NodeJS.ErrnoException).code, 'ECONNREFUSED', when);
      };
      await refused('before it is published');
      await host.balance([host.port(8209, [task], 'udp')]);
      t.is((await agent.askUdp(to)).task, task.taskId, 'published');
      await host.balance([]);
      await refused('no longer published');
      await host.balance([host.port(8209, [task], 'udp')]);
      t.is((await agent.askUdp(to)).task, task.taskId, 'published again');
      await host.balance([host.port(8209, [], 'udp')]);
      await refused('its endpoint is gone');
      await host.balance([host.port(8209, [task], 'udp')]);
      t.is((await agent.askUdp(to)).task, task.taskId, 'its endpoint is back');
    },
  );

  test.serial('balancer: a UDP client follows a host port to each task that has it', async (t) => {
    const [one, other] = [await host.task(1), await host.task(1)];
    const { agent } = host.client;
    const to = { host: host.address, port: 8210, localPort: 5012 };
    const at = (task: typeof one, publishedPort: number) =>
      host.attachment(task, [{ protocol: 'udp', publishedPort, targetPort: task.port }]);
    await t.throwsAsync(agent.askUdp(to), { code: 'ECONNREFUSED' });
    await host.node.agent.openHostPorts(at(one, 8210));
    t.is((await agent.askUdp(to)).task, one.taskId);
    await host.node.agent.openHostPorts(at(one, 8211));
    await t.throwsAsync(agent.askUdp(to), { code: 'ECONNREFUSED' }, 'it has another port now');
    await host.node.agent.openHostPorts(at(other, 8210));
    t.is((await agent.askUdp(to)).task, other.taskId);
  });

  for (const [how, fate] of [
    ['goes', () => []],
    ['is marked down', (peer: object) => [{ ...peer, down: true }]],
  ] as const) {
    test.serial(
      `balancer: connections to tasks of a peer that ${how} are reset, others go on`,
      async (t) => {
        const [near, far] = [await host.task(1), await host.task(2)];
        const ports = [host.port(8205, [near]), host.port(8206, [far])];
        await host.balance(ports);
        const { agent } = host.client;
        const [kept, lost] = [
          await agent.open({ host: host.address, port: 8205, timeoutMs: 20_000 }),
          await agent.open({ host: host.address, port: 8206, timeoutMs: 20_000 }),
        ];
        await agent.again(kept);
        await agent.again(lost);
        const [self, other] = host.peers;
        await host.balance(
          [host.port(8205, [near]), host.port(8206, [])],
          [self!, ...(fate(other!) as (typeof host.peers)[number][])],
        );
        const error = await t.throwsAsync(agent.again(lost));
        t.is((error as NodeJS.ErrnoException).code, 'ECONNRESET');
        t.is((await agent.again(kept)).task, near.taskId);
        await agent.end(kept);
      },
    );
  }

  test.serial(
    'balancer: host ports lead to their task from `attach` to `detach`, and move',
    async (t) => {
      const task = await host.task(1);
      const { agent } = host.node;
      const at = (publishedPort: number) =>
        host.attachment(task, [{ protocol: 'tcp', publishedPort, targetPort: task.port }]);
      await agent.openHostPorts(at(8207));
      t.is((await ask(8207)).task, task.taskId);
      await agent.openHostPorts(at(8208));
      t.is((await ask(8208)).task, task.taskId);
      await refusedAtOnce(t, host, host.address, 8207);
      await host.balance([]);
      t.is((await ask(8208)).task, task.taskId, 'a state does not touch it');
      await agent.closeHostPorts([task.taskId, 'unknown']);
      await refusedAtOnce(t, host, host.address, 8208);
    },
  );

  return () => host;
}
