import { existsSync, readdirSync } from 'node:fs';
import { encode } from 'dns-packet';
import fc from 'fast-check';
import test from 'ava';
import { until } from '@swarm/sim';
import { labProblem } from './lab/lab.js';
import { NamesLab, type NamesTask } from './lab/names-lab.js';
import { plainView, type ViewPlan } from './support/name-views.js';

const problem = labProblem();
const lab = problem === undefined ? new NamesLab('nm') : undefined;

const network = (networkId: string, address: string, change: { isInternal?: boolean } = {}) => ({
  networkId,
  addresses: [`${address}/32`],
  overlay: {
    networkId,
    name: networkId,
    subnets: ['10.0.0.0/16'],
    isInternal: false,
    isEncrypted: false,
    ...change,
  },
});

const backend: ViewPlan = {
  networkId: 'backend',
  services: [
    { serviceId: 's1', names: ['db', 'database'], vips: ['10.0.1.2'] },
    { serviceId: 's2', names: ['many'] },
  ],
  members: Array.from({ length: 100 }, (_, at) => ({
    taskId: `m${at}`,
    serviceId: 's2',
    names: [`many.${at}.m${at}`],
    addresses: [`10.0.2.${at}`],
  })),
};

if (lab === undefined) {
  test(`SKIPPED, names are not tested in namespaces: ${problem}`, (t) => t.pass());
} else {
  const { serial } = test;
  const apply = (...views: ViewPlan[]) => lab.node.apply(views.map(plainView));
  const attach = (
    task: NamesTask,
    attachments = [network('backend', '10.0.1.7')],
    more: { names?: string[]; nameservers?: string[] } = {},
  ) => lab.node.attach({ taskId: task.taskId, netns: task.path, attachments, ...more });
  const attached = async (
    ...given: Parameters<typeof attach> extends [unknown, ...infer R] ? R : never
  ) => {
    const task = await lab.task();
    await attach(task, ...given);
    return task;
  };
  const done = async (...tasks: NamesTask[]) => {
    await lab.node.detach(tasks.map(({ taskId }) => taskId));
    for (const { agent } of tasks) await agent.stop();
  };
  const server = '127.0.1.1';
  const outside = { 'example.com': ['198.18.9.9'], 'large.example': lots(100) };

  test.before(async () => {
    await lab.start();
    await apply(backend);
  });
  test.after.always(() => lab.close());

  serial('a task finds services over UDP and TCP from the moment it is attached', async (t) => {
    const task = await attached(undefined, { names: ['web.1.x', 'Box'] });
    for (const transport of ['udp', 'tcp'] as const) {
      const { data, rcode, ttls } = await task.agent.ask({ name: 'DB', transport });
      t.deepEqual([rcode, data, ttls], ['NOERROR', ['10.0.1.2'], [5]]);
    }
    t.like(await task.agent.ask({ name: 'db', type: 'AAAA' }), { rcode: 'NOERROR', data: [] });
    t.like(await task.agent.ask({ name: 'db', type: 'MX' }), { rcode: 'NOERROR', data: [] });
    t.deepEqual((await task.agent.ask({ name: 'web.1.x' })).data, ['10.0.1.7']);
    t.deepEqual((await task.agent.ask({ name: 'box' })).data, ['10.0.1.7']);
    const reverse = await task.agent.ask({ name: '2.1.0.10.in-addr.arpa', type: 'PTR' });
    t.deepEqual(reverse.data, ['db.backend']);
    await done(task);
  });

  serial('what applies is found at once, and what went is not', async (t) => {
    const task = await attached();
    for (let round = 0; round < 20; round++) {
      const vips = [`10.0.1.${100 + round}`];
      await apply({ networkId: 'backend', services: [{ serviceId: 's1', names: ['db'], vips }] });
      t.deepEqual((await task.agent.ask({ name: 'db' })).data, vips);
    }
    await apply({ networkId: 'backend' });
    t.not((await task.agent.ask({ name: 'db' })).rcode, 'NOERROR');
    await apply(backend);
    await done(task);
  });

  serial('an answer that is too long is cut, and whole with EDNS or over TCP', async (t) => {
    const task = await attached();
    const plain = await task.agent.ask({ name: 'many' });
    t.true(plain.isTruncated);
    t.true(plain.bytes <= 512 && plain.data.length > 20);
    const some = await task.agent.ask({ name: 'many', udpPayloadSize: 1232 });
    t.true(some.isTruncated && some.hasEdns && some.bytes <= 1232);
    const wide = await task.agent.ask({ name: 'many', udpPayloadSize: 4096 });
    t.like(wide, { isTruncated: false, hasEdns: true });
    t.is(new Set(wide.data).size, 100);
    const tcp = await task.agent.ask({ name: 'tasks.many', transport: 'tcp' });
    t.is(new Set(tcp.data).size, 100);
    await done(task);
  });

  serial('two tasks see their own networks, and the order of them decides', async (t) => {
    const names = ['db'];
    await apply(
      { networkId: 'one', services: [{ serviceId: 'a', names, vips: ['10.0.1.2'] }] },
      { networkId: 'two', services: [{ serviceId: 'b', names, vips: ['10.0.2.2'] }] },
    );
    const first = await attached([network('one', '10.0.1.7')]);
    const second = await attached([network('two', '10.0.2.7'), network('one', '10.0.1.8')]);
    t.deepEqual((await first.agent.ask({ name: 'db' })).data, ['10.0.1.2']);
    t.deepEqual((await second.agent.ask({ name: 'db' })).data, ['10.0.2.2']);
    t.deepEqual((await second.agent.ask({ name: 'db.one' })).data, ['10.0.1.2']);
    t.not((await first.agent.ask({ name: 'db.two' })).rcode, 'NOERROR');
    await done(first, second);
    await apply(backend);
  });

  serial('other names are asked of the host’s servers, which may change', async (t) => {
    const node = await lab.inside();
    await node.startServer({ address: server, names: outside });
    lab.setResolvers([server]);
    const task = await attached();
    await until('the servers are known', async () => {
      const { rcode } = await task.agent.ask({ name: 'example.com' });
      return rcode === 'NOERROR';
    });
    t.deepEqual((await task.agent.ask({ name: 'example.com' })).data, ['198.18.9.9']);
    t.is((await task.agent.ask({ name: 'nobody' })).rcode, 'NXDOMAIN');
    const cut = await task.agent.ask({ name: 'large.example' });
    t.like(cut, { isTruncated: true, data: [] });
    const whole = await task.agent.ask({ name: 'large.example', transport: 'tcp' });
    t.is(whole.data.length, 100, 'over TCP when it does not fit');
    const other = '127.0.1.2';
    await node.startServer({ address: other, names: { 'example.com': ['198.18.8.8'] } });
    lab.setResolvers([other]);
    await until('the other server is asked', async () => {
      const { data } = await task.agent.ask({ name: 'example.com' });
      return data[0] === '198.18.8.8';
    });
    await node.stop();
    await done(task);
  });

  serial('servers that are dead or silent cost time once, and never a name', async (t) => {
    const node = await lab.inside();
    await node.startServer({ address: server, names: outside });
    await node.startServer({ address: '127.0.1.3', names: {}, isSilent: true });
    lab.setResolvers(['127.0.1.3', '127.0.1.4', server]);
    const task = await attached();
    await until('the servers are known', async () => {
      const { rcode } = await task.agent.ask({ name: 'example.com', timeoutMs: 6000 });
      return rcode === 'NOERROR';
    });
    const startMs = performance.now();
    t.is((await task.agent.ask({ name: 'example.com' })).rcode, 'NOERROR');
    t.true(performance.now() - startMs < 1500, 'the silent one comes last now');
    await node.stopServer(server);
    const failed = await task.agent.ask({ name: 'example.com', timeoutMs: 8000 });
    t.is(failed.rcode, 'SERVFAIL');
    lab.setResolvers([]);
    await until('there are no servers', async () => {
      const askedMs = performance.now();
      const { rcode } = await task.agent.ask({ name: 'example.com', timeoutMs: 8000 });
      return rcode === 'SERVFAIL' && performance.now() - askedMs < 1000;
    });
    t.deepEqual((await task.agent.ask({ name: 'db' })).data, ['10.0.1.2']);
    await node.stop();
    await done(task);
  });

  serial('a task’s own name servers are asked from its own network', async (t) => {
    const task = await lab.task();
    // In its namespace alone; the same address is another host in the node's.
    await task.agent.startServer({ address: '127.0.5.5', names: outside });
    await attach(task, undefined, { nameservers: ['127.0.0.11', '127.0.5.5'] });
    t.deepEqual((await task.agent.ask({ name: 'example.com' })).data, ['198.18.9.9']);
    const whole = await task.agent.ask({ name: 'large.example', transport: 'tcp' });
    t.is(whole.data.length, 100);
    t.deepEqual((await task.agent.ask({ name: 'db' })).data, ['10.0.1.2']);
    await done(task);
  });

  serial('a task on internal networks asks nobody outside', async (t) => {
    const node = await lab.inside();
    await node.startServer({ address: server, names: outside });
    lab.setResolvers([server]);
    const open = await attached([
      network('backend', '10.0.1.7', { isInternal: true }),
      network('front', '10.0.1.8'),
    ]);
    await until('the server is known', async () => {
      return (await open.agent.ask({ name: 'example.com' })).rcode === 'NOERROR';
    });
    const before = await node.serverAsked(server);
    const closed = await attached([network('backend', '10.0.1.9', { isInternal: true })]);
    t.is((await closed.agent.ask({ name: 'example.com' })).rcode, 'NXDOMAIN');
    t.deepEqual((await closed.agent.ask({ name: 'db' })).data, ['10.0.1.2']);
    t.is(await node.serverAsked(server), before);
    await node.stop();
    lab.setResolvers([]);
    await done(open, closed);
  });

  serial('one task that asks for much leaves room for others', async (t) => {
    const node = await lab.inside();
    await node.startServer({ address: server, names: outside, delayMs: 1500 });
    lab.setResolvers([server]);
    const [greedy, other] = [await attached(), await attached()];
    await until('the server is known', async () => {
      const { rcode } = await other.agent.ask({ name: 'example.com' });
      return rcode === 'NOERROR';
    });
    const all = Promise.allSettled(
      Array.from({ length: 1200 }, () =>
        greedy.agent.ask({ name: 'example.com', timeoutMs: 5000 }),
      ),
    );
    await until('it has asked', async () => (await node.mostWaiting(server)) > 300);
    t.is((await other.agent.ask({ name: 'example.com', timeoutMs: 5000 })).rcode, 'NOERROR');
    await all;
    const most = await node.mostWaiting(server);
    t.true(most <= 514, `half of the room, and the other task's: ${most}`);
    await node.stop();
    lab.setResolvers([]);
    await done(greedy, other);
  });

  serial('names are served while the daemon restarts, and tasks keep their sockets', async (t) => {
    const [task, gone] = [await attached(), await attached()];
    const pid = lab.resolverPid;
    const stopped = lab.restart();
    t.deepEqual((await task.agent.ask({ name: 'db' })).data, ['10.0.1.2']);
    await stopped;
    t.deepEqual((await task.agent.ask({ name: 'db' })).data, ['10.0.1.2']);
    await lab.node.retain([task.taskId]);
    await t.throwsAsync(gone.agent.ask({ name: 'db', timeoutMs: 500 }), undefined, 'it has left');
    const vips = ['10.0.1.3'];
    await apply({ networkId: 'backend', services: [{ serviceId: 's1', names: ['db'], vips }] });
    t.deepEqual((await task.agent.ask({ name: 'db' })).data, vips);
    t.not((await task.agent.ask({ name: 'database' })).rcode, 'NOERROR', 'nothing old stays');
    await attach(task);
    t.is(lab.resolverPid, pid);
    await apply(backend);
    await done(task);
    await gone.agent.stop();
  });

  serial('a resolver that dies or hangs is replaced, and knows everything again', async (t) => {
    const task = await attached();
    const other = await attached([network('backend', '10.0.1.8')], { names: ['box'] });
    for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
      const pid = lab.resolverPid!;
      process.kill(pid, signal);
      const killedMs = performance.now();
      if (signal === 'SIGSTOP') {
        const vips = ['10.0.1.4'];
        await apply({ networkId: 'backend', services: [{ serviceId: 's1', names: ['db'], vips }] });
        t.deepEqual((await task.agent.ask({ name: 'db' })).data, vips);
      } else {
        await until('names are back', async () => {
          const asked = task.agent.ask({ name: 'db', timeoutMs: 100 });
          return (await asked.catch(() => undefined))?.data[0] === '10.0.1.2';
        });
        t.log(`names were back ${Math.round(performance.now() - killedMs)} ms after the kill`);
      }
      await until('the other task finds names', async () => {
        const asked = other.agent.ask({ name: 'box', timeoutMs: 100 });
        return (await asked.catch(() => undefined))?.data[0] === '10.0.1.8';
      });
      t.not(lab.resolverPid, pid);
      t.false(existsSync(`/proc/${pid}/fd`) && lab.resolverPid === pid);
      await apply(backend);
    }
    await lab.node.notes();
    await done(task, other);
  });

  serial('a task that comes again in another namespace is answered there', async (t) => {
    const [task, next] = [await attached(), await lab.task()];
    await lab.node.attach({
      taskId: task.taskId,
      netns: next.path,
      attachments: [network('backend', '10.0.1.7')],
    });
    t.deepEqual((await next.agent.ask({ name: 'db' })).data, ['10.0.1.2']);
    await t.throwsAsync(task.agent.ask({ name: 'db', timeoutMs: 500 }));
    await done(task);
    await next.agent.stop();
  });

  serial('a task without namespace is refused, and the others are not touched', async (t) => {
    const task = await attached();
    const netns = '/run/netns/nobody';
    const attachments = [network('backend', '10.0.1.9')];
    await t.throwsAsync(lab.node.attach({ taskId: 'nobody', netns, attachments }), {
      message: /nobody/,
    });
    t.deepEqual((await task.agent.ask({ name: 'db' })).data, ['10.0.1.2']);
    t.deepEqual(await lab.node.notes(), []);
    await done(task);
  });

  serial('hostile packets harm nobody', async (t) => {
    const task = await attached();
    const pid = lab.resolverPid;
    const good = encode({ type: 'query', id: 9, questions: [{ type: 'A', name: 'db' }] });
    const samples = fc.sample(
      fc.oneof(
        fc.uint8Array({ minLength: 0, maxLength: 1400 }),
        fc
          .array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 })
          .map((changes) => {
            const bytes = Buffer.from(good);
            for (const [at, value] of changes) bytes[at] = value;
            return bytes;
          }),
      ),
      400,
    );
    for (const transport of ['udp', 'tcp'] as const) {
      for (let at = 0; at < samples.length; at += 50) {
        await Promise.allSettled(
          samples
            .slice(at, at + 50)
            .map((bytes) => task.agent.raw(Buffer.from(bytes).toString('hex'), transport, 200)),
        );
      }
    }
    const answer = Buffer.from(good);
    answer[2] = 0x80;
    t.is(await task.agent.raw(answer.toString('hex'), 'udp', 200), '', 'answers get no answer');
    t.deepEqual((await task.agent.ask({ name: 'db' })).data, ['10.0.1.2']);
    t.is(lab.resolverPid, pid, 'it has not been started again');
    await done(task);
  });

  serial('connections are limited, and end when they bring nothing', async (t) => {
    const task = await attached();
    const open = await task.agent.hold(40);
    t.true(open <= 32, String(open));
    t.deepEqual((await task.agent.ask({ name: 'db' })).data, ['10.0.1.2'], 'over UDP');
    await until('silent connections have ended', async () => (await task.agent.held()) === 0, {
      deadlineMs: 20_000,
    });
    t.deepEqual((await task.agent.ask({ name: 'db', transport: 'tcp' })).data, ['10.0.1.2']);
    t.is(await task.agent.pipeline('db', 100), 100, 'many questions on one connection');
    await done(task);
  });

  serial(
    'tasks that went leave no handle, and the last ends the process with the node',
    async (t) => {
      const keeper = await attached();
      const handles = () => readdirSync(`/proc/${lab.resolverPid}/fd`).length;
      const before = handles();
      for (let round = 0; round < 30; round++) {
        const netns = lab.lab.emptyNamespace(`r${round}`);
        lab.lab.sh(netns.split('/').at(-1)!, 'ip link set lo up');
        const taskId = `round${round}`;
        await lab.node.attach({ taskId, netns, attachments: [network('backend', '10.0.1.9')] });
        await lab.node.detach([taskId as never]);
      }
      await until('all handles are closed', async () => handles() <= before);
      await done(keeper);
      const pid = lab.resolverPid!;
      await lab.node.close(false);
      await until('the resolver has ended', async () => lab.resolverPid === undefined);
      t.false(existsSync(`/proc/${pid}/fd`) && readdirSync(`/proc/${pid}/fd`).length > 0);
      t.deepEqual(
        readdirSync(lab.namesFolder).filter((name) => !name.endsWith('.log')),
        [],
      );
    },
  );

  serial('a resolver whose folder is gone ends by itself', async (t) => {
    await lab.start();
    const task = await attached();
    const pid = lab.resolverPid!;
    await lab.node.stop();
    lab.removeFiles();
    await until('it has ended', async () => !isRunning(pid));
    t.pass();
    await task.agent.stop();
  });
}

function isRunning(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).length > 0;
  } catch {
    return false;
  }
}

function lots(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `198.18.5.${at}`);
}
