import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ContainerSpec, HostPrivileges, Task, TaskSpec } from '@swarm/api';
import anyTest, { type TestFn } from 'ava';
import { until } from '@swarm/sim';
import type { Runtime } from '../src/runtime/runtime.js';
import { makeTask } from './support/make-task.js';
import { IS_ROOT, openProcessRuntime } from './support/process-harness.js';
import { ALL_LOGS, collect, makeFolder, text } from './support/real.js';
import { prepare } from './support/prepare.js';

/** What needs root is skipped loudly without it. */
const test = (IS_ROOT ? anyTest : anyTest.skip) as TestFn;
if (!IS_ROOT) anyTest('SKIPPED, run as root: namespaces, cgroups, users', (t) => t.pass());

const progress = { started() {}, waiting() {} };
let counter = 0;

function shell(
  script: string,
  container: Partial<ContainerSpec> = {},
  spec: Partial<TaskSpec> = {},
  hostPrivileges: HostPrivileges = 'none',
) {
  counter += 1;
  return makeTask(`kernel${process.pid}x${counter}`, {
    container: { Command: ['/bin/sh', '-c', script], Args: [], ...container },
    spec,
    hostPrivileges,
  });
}

/** Runs a task to its end; what it printed and how it ended. */
async function outcome(runtime: Runtime, task: Task) {
  await prepare(runtime, task);
  await runtime.start(task.ID, progress).catch(() => {});
  const end = await runtime.wait(task.ID);
  const lines = await collect(runtime.logs(task.ID, ALL_LOGS));
  return { end, lines: lines.map((line) => text(line).trim()) };
}

/** Whether a process of this host has this command line. */
function runs(command: string): boolean {
  return readdirSync('/proc').some((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      const words = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
      return words.slice(0, -1).join(' ') === command;
    } catch {
      return false; // It is gone.
    }
  });
}

async function withRuntime(body: (runtime: Runtime) => Promise<void>): Promise<void> {
  const harness = await openProcessRuntime(true);
  try {
    await body(harness.runtime);
  } finally {
    await harness.close();
  }
}

test('A task with a network has its own namespace, attached before its first instruction', async (t) => {
  await withRuntime(async (runtime) => {
    const base = shell('ip -brief address show dev lo; readlink /proc/self/ns/net; exec sleep 600');
    const task: Task = {
      ...base,
      NetworksAttachments: [
        { Network: { ID: 'n', Spec: { Name: 'ingress' } }, Addresses: ['198.18.77.1/32'] },
      ],
    };
    const path = `/run/netns/swarm-${task.ID}`;
    await prepare(runtime, task, {
      network: {
        backend: 'nftables',
        async attach(attachment) {
          t.is(attachment.netns, path);
          const [address] = attachment.attachments[0]!.addresses;
          t.is(address, '198.18.77.1/32');
          t.is(runtime.pid(task.ID), undefined);
          const net = ['-n', `swarm-${task.ID}`];
          execFileSync('ip', [...net, 'addr', 'add', address!, 'dev', 'lo']);
        },
      },
    });
    await runtime.start(task.ID, progress);
    await until(
      'it looked',
      async () => (await collect(runtime.logs(task.ID, ALL_LOGS))).length > 1,
    );
    const lines = (await collect(runtime.logs(task.ID, ALL_LOGS))).map(text);
    t.regex(lines[0]!, /198\.18\.77\.1\/32/);
    t.not(lines[1]!.trim(), readlinkSync('/proc/self/ns/net'));
    await runtime.stop(task.ID, { graceMs: 5_000 });
    t.false(existsSync(path), 'the namespace goes with the stop');
  });
});

test('A task without a network shares that of its host', async (t) => {
  await withRuntime(async (runtime) => {
    const { lines } = await outcome(runtime, shell('readlink /proc/self/ns/net'));
    t.deepEqual(lines, [readlinkSync('/proc/self/ns/net')]);
  });
});

test('Network none is an empty network of the task, network host that of its host', async (t) => {
  await withRuntime(async (runtime) => {
    const inside = (Target: string) =>
      outcome(
        runtime,
        shell(
          'readlink /proc/self/ns/net; ip -o link | cut -d" " -f2,3',
          {},
          { Networks: [{ Target }] },
        ),
      );
    const [none, link, ...more] = (await inside('none')).lines;
    t.not(none, readlinkSync('/proc/self/ns/net'));
    t.regex(link ?? '', /^lo: <LOOPBACK,UP/);
    t.deepEqual(more, []);
    const [own] = (await inside('host')).lines;
    t.is(own, readlinkSync('/proc/self/ns/net'));
    const bridged = shell('true', {}, { Networks: [{ Target: 'bridge' }] });
    await t.throwsAsync(prepare(runtime, bridged), {
      message: /bridge of a container engine.*plain processes/,
    });
  });
});

test('A network that cannot be attached leaves nothing behind', async (t) => {
  await withRuntime(async (runtime) => {
    const task: Task = {
      ...shell('true'),
      NetworksAttachments: [
        { Network: { ID: 'n', Spec: { Name: 'ingress' } }, Addresses: ['198.18.77.1/32'] },
      ],
    };
    const network = {
      backend: 'nftables' as const,
      attach: async () => {
        throw new Error('no tunnel');
      },
    };
    await t.throwsAsync(prepare(runtime, task, { network }), {
      message: 'no tunnel',
    });
    t.false(existsSync(`/run/netns/swarm-${task.ID}`));
    t.deepEqual(await runtime.list(), []);
  });
});

test('A memory limit is enforced, and a task that exceeds it learns so', async (t) => {
  await withRuntime(async (runtime) => {
    const eater = 'a=x; while :; do a=$a$a; done';
    const limits = { Resources: { Limits: { MemoryBytes: 16 * 1024 * 1024 } } };
    const { end } = await outcome(runtime, shell(eater, {}, limits));
    t.like(end, { kind: 'exit', code: 137, signal: 'SIGKILL' });
    t.regex(end.kind === 'exit' ? (end.error ?? '') : '', /out of memory, its limit is 16777216/);
  });
});

test('A limit of processes is kept', async (t) => {
  await withRuntime(async (runtime) => {
    const script = 'i=0; while [ $i -lt 20 ]; do sleep 600 & i=$((i+1)); done; echo all';
    const limits = { Resources: { Limits: { Pids: 5 } } };
    const { lines } = await outcome(runtime, shell(script, {}, limits));
    t.false(lines.includes('all'));
    t.true(lines.some((line) => line.includes('fork')));
  });
});

test('A limit of one process leaves room for the command alone', async (t) => {
  await withRuntime(async (runtime) => {
    const limits = { Resources: { Limits: { Pids: 1 } } };
    const { lines } = await outcome(runtime, shell('echo up; (true); echo forked', {}, limits));
    t.is(lines[0], 'up');
    t.false(lines.includes('forked'));
  });
});

test('A limit of processor time is handed to the kernel', async (t) => {
  await withRuntime(async (runtime) => {
    const task = shell('exec sleep 600', {}, { Resources: { Limits: { NanoCPUs: 5e8 } } });
    await prepare(runtime, task);
    await runtime.start(task.ID, progress);
    const cgroups = readFileSync(`/proc/${runtime.pid(task.ID)}/cgroup`, 'utf8');
    const [, v1] = /:cpu(?:,cpuacct)?:(.*)/.exec(cgroups) ?? [];
    const [, v2] = /^0::(.*)/m.exec(cgroups) ?? [];
    const quota =
      v1 !== undefined
        ? readFileSync(`/sys/fs/cgroup/cpu${v1}/cpu.cfs_quota_us`, 'utf8').trim()
        : readFileSync(`/sys/fs/cgroup${v2}/cpu.max`, 'utf8').split(' ')[0];
    t.is(quota, '50000');
  });
});

test('Processes that left the session of their task are killed with it', async (t) => {
  await withRuntime(async (runtime) => {
    // A number that no other sleep of this host has, to find it by.
    const seconds = 600_000 + process.pid;
    const task = shell(
      `setsid sleep ${seconds} & trap 'exit 0' USR1; while :; do sleep 0.05; done`,
    );
    await prepare(runtime, task);
    await runtime.start(task.ID, progress);
    await until('it sleeps', () => runs(`sleep ${seconds}`));
    process.kill(runtime.pid(task.ID)!, 'SIGUSR1');
    t.like(await runtime.wait(task.ID), { code: 0 });
    await until('it is gone', () => !runs(`sleep ${seconds}`));
  });
});

test('A task runs as the user, in the groups and with the host name of its spec', async (t) => {
  await withRuntime(async (runtime) => {
    const container = {
      User: 'nobody',
      Groups: ['4242'],
      Hostname: '{{.Service.Name}}-{{.Task.Slot}}',
    };
    const script = 'id -u; id -G; uname -n; echo $HOSTNAME; umask';
    const { lines } = await outcome(runtime, shell(script, container, {}, 'root'));
    const gid = execFileSync('id', ['-g', 'nobody']).toString().trim();
    const uid = execFileSync('id', ['-u', 'nobody']).toString().trim();
    t.deepEqual(lines, [uid, `${gid} 4242`, 'web-1', 'web-1', '0022']);
    t.not(readFileSync('/proc/sys/kernel/hostname', 'utf8').trim(), 'web-1');
  });
});

test('Resource limits, capabilities and the OOM score of the spec are applied', async (t) => {
  await withRuntime(async (runtime) => {
    const container = {
      Ulimits: [{ Name: 'nofile', Soft: 77, Hard: 99 }],
      CapabilityDrop: ['ALL'],
      CapabilityAdd: ['CAP_CHOWN'],
      User: 'root',
      OomScoreAdj: 123,
    };
    const script =
      'ulimit -Sn; ulimit -Hn; grep CapEff /proc/self/status; cat /proc/self/oom_score_adj';
    const { lines } = await outcome(runtime, shell(script, container, {}, 'root'));
    t.deepEqual(lines, ['77', '99', 'CapEff:\t0000000000000001', '123']);
  });
});

test('A working directory that is missing ends the task with a reason', async (t) => {
  await withRuntime(async (runtime) => {
    const { end } = await outcome(runtime, shell('true', { Dir: '/no/such/place' }));
    t.like(end, { kind: 'exit', code: 125 });
    t.regex(end.kind === 'exit' ? (end.error ?? '') : '', /working directory \/no\/such\/place/);
  });
});

test('A health check runs in the namespace of its task', async (t) => {
  await withRuntime(async (runtime) => {
    const host = readlinkSync('/proc/self/ns/uts');
    const task = shell('exec sleep 600', {
      Hostname: 'inside',
      Healthcheck: {
        Test: [
          'CMD-SHELL',
          `[ "$(uname -n)" = inside ] && [ "$(readlink /proc/self/ns/uts)" != "${host}" ]`,
        ],
        Interval: 20e6,
      },
    });
    await prepare(runtime, task);
    await t.notThrowsAsync(runtime.start(task.ID, progress));
  });
});

test('A health check of a task that an earlier version started runs in its namespaces', async (t) => {
  const harness = await openProcessRuntime(true);
  try {
    const folder = makeFolder();
    const seen = join(folder.path, 'seen');
    const task = makeTask(`kernel${process.pid}old`, {
      container: {
        Command: ['/bin/sh', '-c', 'exec sleep 600'],
        Args: [],
        Hostname: 'inside',
        Healthcheck: {
          Test: ['CMD-SHELL', '[ "$(uname -n)" = inside ]'],
          Interval: 20e6,
          Retries: 1,
        },
      },
      address: '10.0.0.5/24',
    });
    await prepare(harness.runtime, task);
    await harness.runtime.start(task.ID, progress);
    // That version wrote neither, and the check should show where it ran.
    const path = join(harness.folder, 'tasks', task.ID, 'task.json');
    const {
      isolated: _isolated,
      version: _version,
      ...manifest
    } = JSON.parse(readFileSync(path, 'utf8'));
    const look = `readlink /proc/self/ns/net /proc/self/ns/uts >${seen}.new; mv ${seen}.new ${seen}`;
    const health = { ...manifest.health, Test: ['CMD-SHELL', look] };
    writeFileSync(path, JSON.stringify({ ...manifest, version: 1, wrappers: [], health }));
    await harness.reopen();
    await harness.runtime.list();
    await until('a check has run', async () => existsSync(seen));
    const pid = harness.runtime.pid(task.ID)!;
    const own = ['net', 'uts'].map((name) => readlinkSync(`/proc/${pid}/ns/${name}`));
    t.deepEqual(readFileSync(seen, 'utf8').trim().split('\n'), own);
    folder.remove();
  } finally {
    await harness.close();
  }
});
