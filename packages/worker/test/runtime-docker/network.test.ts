import { execFileSync } from 'node:child_process';
import { existsSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import test from 'ava';
import { until } from '@swarm/sim';
import type { TaskNetwork } from '../../src/runtime/runtime.js';
import { RuntimeError } from '../../src/runtime/runtime-error.js';
import { sandboxSpec } from '../../src/runtime/sandbox.js';
import { HTTP_PORT, makeTask, NODE_FACTS } from '../support/make-task.js';
import { ALL_LOGS, collect, text } from '../support/real.js';
import {
  containers,
  engineLacks,
  openDockerRuntime,
  progress,
  shell,
  TEST_IMAGE,
  TestEngine,
} from './engine.js';
import { prepare } from '../support/prepare.js';

const lacks = engineLacks();

/** Moves one end of a veth into the namespace, as the mesh does, and says what it was asked. */
class FakeNetwork implements TaskNetwork {
  readonly backend = 'nftables';
  readonly asked: Parameters<TaskNetwork['attach']>[0][] = [];
  readonly #name = `swt${process.pid % 100_000}`;

  async attach(task: Parameters<TaskNetwork['attach']>[0]): Promise<void> {
    this.asked.push(task);
    const inside = (...command: string[]): unknown =>
      execFileSync('nsenter', [`--net=${task.netns}`, ...command]);
    // Made inside, so that nothing of it is ever in the host's own namespace.
    inside('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', this.#name);
    inside('ip', 'addr', 'add', task.attachments[0]!.addresses[0]!, 'dev', 'eth0');
    inside('ip', 'link', 'set', 'eth0', 'up');
  }
}

if (lacks === undefined) {
  const engine = new TestEngine();
  test.before(async () => {
    await engine.start();
    await engine.importImage();
  });
  test.after.always(() => engine.close());

  test.serial('a task has its address before its first instruction', async (t) => {
    const harness = openDockerRuntime(engine);
    try {
      const network = new FakeNetwork();
      const task = shell('ip addr show eth0; cat /etc/hosts; echo "name $HOSTNAME $(hostname)"', {
        container: { Hosts: ['198.18.7.7 db database'] },
        address: '198.18.0.77/32',
        ports: [HTTP_PORT],
      });
      await prepare(harness.runtime, task, { network });
      t.like(network.asked, [
        { taskId: task.ID, attachments: [{ addresses: ['198.18.0.77/32'] }], hostPorts: [] },
      ]);
      await harness.runtime.start(task.ID, progress);
      await harness.runtime.wait(task.ID);
      const out = (await collect(harness.runtime.logs(task.ID, ALL_LOGS))).map(text).join('');
      t.regex(out, /inet 198\.18\.0\.77\/32/);
      t.regex(out, /198\.18\.7\.7\s+db\n198\.18\.7\.7\s+database|198\.18\.7\.7\s+db\s+database/);
      const [, variable, name] = /name (\S+) (\S+)/.exec(out)!;
      t.is(variable, name);
      t.regex(out, new RegExp(`198\\.18\\.0\\.77\\s+${name}\\n`));
    } finally {
      await harness.close();
    }
  });

  test.serial('the process of a task is in the namespace the mesh was given', async (t) => {
    const harness = openDockerRuntime(engine);
    try {
      const network = new FakeNetwork();
      const task = shell('exec sleep 600', { address: '198.18.0.78/32' });
      await prepare(harness.runtime, task, { network });
      const namespace = readlinkSync(network.asked[0]!.netns);
      await harness.runtime.start(task.ID, progress);
      t.is(readlinkSync(`/proc/${harness.runtime.pid(task.ID)}/ns/net`), namespace);
      t.not(readlinkSync('/proc/self/ns/net'), namespace);
      await harness.runtime.stop(task.ID, { graceMs: 0 });
      const sandboxes = await containers(engine, 'swarm.role=sandbox');
      t.false(sandboxes.includes(`swarm-sandbox-${task.ID}`), 'a stop gives the network back');
    } finally {
      await harness.close();
    }
  });

  test.serial('hostname, DNS and network settings of the spec reach the task', async (t) => {
    const harness = openDockerRuntime(engine);
    try {
      const task = shell(
        'hostname; cat /etc/resolv.conf /proc/sys/net/ipv4/ip_default_ttl /proc/sys/kernel/shmmni',
        {
          address: '10.240.1.79/32',
          container: {
            Hostname: '{{.Service.Name}}-{{.Task.Slot}}',
            DNSConfig: {
              Nameservers: ['198.18.0.53'],
              Search: ['example.test'],
              Options: ['ndots:2'],
            },
            Sysctls: { 'net.ipv4.ip_default_ttl': '61', 'kernel.shmmni': '777' },
          },
        },
      );
      await prepare(harness.runtime, task, { network: new FakeNetwork() });
      await harness.runtime.start(task.ID, progress);
      await harness.runtime.wait(task.ID);
      const out = (await collect(harness.runtime.logs(task.ID, ALL_LOGS))).map(text).join('');
      t.regex(out, /^web-1\n/);
      t.regex(out, /nameserver 198\.18\.0\.53/);
      t.regex(out, /search example\.test/);
      t.regex(out, /options ndots:2/);
      t.regex(out, /^61$/m);
      t.regex(out, /^777$/m);
    } finally {
      await harness.close();
    }
  });

  test.serial('a task on an overlay network asks the mesh for names', async (t) => {
    const harness = openDockerRuntime(engine);
    const asked = async (container: object, address: string): Promise<string> => {
      const task = shell('cat /etc/resolv.conf', { address, container });
      await prepare(harness.runtime, task, { network: new FakeNetwork() });
      await harness.runtime.start(task.ID, progress);
      await harness.runtime.wait(task.ID);
      const out = (await collect(harness.runtime.logs(task.ID, ALL_LOGS))).map(text).join('');
      await harness.runtime.remove(task.ID);
      // Engines explain themselves in comments.
      return out.replace(/^#.*\n/gm, '').trim();
    };
    const keeper = shell('exec sleep 600', { address: '10.240.1.80/32' });
    const spares = async (): Promise<string[]> =>
      (await containers(engine, 'swarm.role=sandbox', { running: true })).filter((name) =>
        name.startsWith('swarm-spare-'),
      );
    try {
      await prepare(harness.runtime, keeper, { network: new FakeNetwork() });
      const own = await asked({ Hostname: 'box' }, '10.0.1.7/24');
      t.regex(own, /^nameserver 127\.0\.0\.11$/m);
      t.regex(own, /^options .*ndots:0/m);
      t.is(own.match(/nameserver/g)?.length, 1);
      const DNSConfig = {
        Nameservers: ['198.18.0.53'],
        Search: ['example.test'],
        Options: ['timeout:1'],
      };
      const wished = await asked({ DNSConfig }, '10.0.1.8/24');
      t.deepEqual(wished.split('\n').sort(), [
        'nameserver 127.0.0.11',
        'options ndots:0 timeout:1',
        'search example.test',
      ]);
      await until('three spares stand', async () => (await spares()).length === 3);
      const spare = await asked({}, '10.0.1.9/24');
      t.regex(spare, /^nameserver 127\.0\.0\.11\n/);
      t.regex(spare, /^options ndots:0$/m);
      t.is(spare.match(/nameserver/g)?.length, 1);
    } finally {
      await harness.close();
    }
  });

  test.serial('spare sandboxes are made, used, adopted, and go with the last task', async (t) => {
    const harness = openDockerRuntime(engine);
    const spares = async (): Promise<string[]> =>
      (await containers(engine, 'swarm.role=sandbox', { running: true })).filter((name) =>
        name.startsWith('swarm-spare-'),
      );
    try {
      const first = shell('exec sleep 600', { address: '198.18.0.80/32' });
      await prepare(harness.runtime, first, { network: new FakeNetwork() });
      await until('three spares stand', async () => (await spares()).length === 3);
      const before = await spares();
      await harness.reopen();
      await harness.runtime.list();
      t.deepEqual((await spares()).sort(), before.sort());
      const second = shell('exec sleep 600', { address: '198.18.0.81/32' });
      await prepare(harness.runtime, second, { network: new FakeNetwork() });
      await harness.runtime.start(second.ID, progress);
      const name = execFileSync('nsenter', [
        `--target=${harness.runtime.pid(second.ID)}`,
        '--uts',
        'hostname',
      ]);
      t.true(before.includes(`swarm-spare-${name.toString().trim()}`), 'a spare was taken');
      await until('three spares stand again', async () => (await spares()).length === 3);
      await harness.runtime.remove(first.ID);
      t.is((await spares()).length, 3);
      await harness.runtime.remove(second.ID);
      t.deepEqual(await containers(engine, 'swarm.role=sandbox'), []);
    } finally {
      await harness.close();
    }
  });

  test.serial('a sandbox without a task is listed by the next life', async (t) => {
    const harness = openDockerRuntime(engine);
    try {
      const task = shell('exec sleep 600', { address: '198.18.0.82/32' });
      await prepare(harness.runtime, task, { network: new FakeNetwork() });
      await harness.runtime.close();
      await engine.api('DELETE', `/containers/${task.Name}?force=1`);
      await harness.reopen();
      t.deepEqual(await harness.runtime.list(), []);
      t.deepEqual(await harness.runtime.listSandboxes(), [task.ID]);
      await harness.runtime.removeSandbox(task.ID);
      t.deepEqual(await containers(engine, 'swarm.role=sandbox'), []);
    } finally {
      await harness.close();
    }
  });

  test.serial('a sandbox that ended is made again', async (t) => {
    const harness = openDockerRuntime(engine);
    try {
      const task = shell('exec sleep 600', { address: '198.18.0.84/32' });
      const network = new FakeNetwork();
      await prepare(harness.runtime, task, { network });
      await harness.runtime.remove(task.ID);
      const node = NODE_FACTS;
      const { signal } = new AbortController();
      const spec = sandboxSpec(task, node, network.backend);
      const first = await harness.runtime.createSandbox(spec, signal);
      await engine.api('POST', `/containers/swarm-sandbox-${task.ID}/kill`);
      const again = await harness.runtime.createSandbox(spec, signal);
      t.not(again.netns, first.netns);
      t.true(existsSync(again.netns!));
    } finally {
      await harness.close();
    }
  });

  test.serial('a network that cannot be attached leaves nothing of the task', async (t) => {
    const harness = openDockerRuntime(engine);
    try {
      const task = shell('exec sleep 600', { address: '198.18.0.83/32' });
      const network = {
        backend: 'nftables' as const,
        attach: async () => {
          throw new RuntimeError('failed', 'no more room in the mesh');
        },
      };
      await t.throwsAsync(prepare(harness.runtime, task, { network }), {
        message: 'no more room in the mesh',
      });
      t.deepEqual(await harness.runtime.list(), []);
      t.false((await containers(engine, 'swarm.role')).some((name) => name.includes(task.ID)));
    } finally {
      await harness.close();
    }
  });

  test.serial('network host and network none are those of the engine', async (t) => {
    const harness = openDockerRuntime(engine);
    try {
      const look = async (Target: string) => {
        const task = shell('readlink /proc/self/ns/net; hostname; ip -o link', {
          spec: { Networks: [{ Target }] },
        });
        await prepare(harness.runtime, task);
        await harness.runtime.start(task.ID, progress);
        await harness.runtime.wait(task.ID);
        const lines = await collect(harness.runtime.logs(task.ID, ALL_LOGS));
        return lines.map((line) => text(line).trim());
      };
      const [namespace, host] = await look('host');
      t.is(namespace, readlinkSync('/proc/self/ns/net'));
      t.is(host, hostname());
      const [other, , ...links] = await look('none');
      t.not(other, namespace);
      t.is(links.length, 1, links.join('\n'));
      t.deepEqual(await containers(engine, 'swarm.role=sandbox'), []);
      const { capabilities } = await harness.runtime.describe();
      t.deepEqual(
        capabilities.filter((word) => word.startsWith('network-')).sort(),
        ['network-host', 'network-none', 'network-overlay'],
        'this engine has no bridge',
      );
    } finally {
      await harness.close();
    }
  });

  test.serial('a task without a network has the loopback alone', async (t) => {
    const harness = openDockerRuntime(engine);
    try {
      const task = makeTask(`alone${process.pid}`, {
        container: { Image: TEST_IMAGE, Command: ['ip', '-o', 'link'], Args: [] },
      });
      await prepare(harness.runtime, task);
      await harness.runtime.start(task.ID, progress);
      await harness.runtime.wait(task.ID);
      const lines = (await collect(harness.runtime.logs(task.ID, ALL_LOGS))).map(text);
      t.true(
        lines.every((line) => !/ eth\d/.test(line)),
        lines.join(''),
      );
      t.regex(lines.join(''), / lo: /);
      t.deepEqual(await containers(engine, 'swarm.role=sandbox'), []);
    } finally {
      await harness.close();
    }
  });
} else {
  test.skip(`docker runtime's networks: SKIPPED, ${lacks}`, () => {});
}
