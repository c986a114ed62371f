import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ContainerSpec, MS, SECOND, type TaskSpec } from '@swarm/api';
import test from 'ava';
import { ALL_LOGS, collect, text } from '../support/real.js';
import {
  engineLacks,
  openDockerRuntime,
  progress,
  shell,
  TEST_IMAGE,
  TestEngine,
} from './engine.js';
import { prepare } from '../support/prepare.js';

const lacks = engineLacks();
const MEBIBYTE = 2 ** 20;

interface Inspected {
  readonly Name: string;
  readonly Config: Record<string, unknown> & { readonly Labels: Record<string, string> };
  readonly HostConfig: Record<string, unknown>;
  readonly Mounts: readonly { readonly Name?: string; readonly Destination: string }[];
}

if (lacks === undefined) {
  const engine = new TestEngine();
  test.before(async () => {
    await engine.start();
    await engine.importImage();
    await engine.buildImage('127.0.0.1:1/swarm-test/checked:1', [
      'HEALTHCHECK --interval=50ms --retries=2 CMD test -e /tmp/well',
      'STOPSIGNAL SIGUSR2',
      'ENV FROM_IMAGE=yes GONE=yes',
      'VOLUME /data',
    ]);
  });
  test.after.always(() => engine.close());

  test.serial('a container has the name and the labels that Docker Swarm gives it', async (t) => {
    const harness = openDockerRuntime(engine);
    try {
      const task = shell('exec sleep 600', {
        slot: 3,
        container: { Labels: { own: 'label', 'com.docker.swarm.task.id': 'forged' } },
      });
      const { containerId } = await prepare(harness.runtime, task);
      const { Name, Config } = await engine.api<Inspected>(
        'GET',
        `/containers/${containerId}/json`,
      );
      t.is(Name, `/web.3.${task.ID}`);
      const { 'swarm.owner': owner, ...labels } = Config.Labels;
      t.truthy(owner);
      t.deepEqual(labels, {
        own: 'label',
        'com.docker.swarm.task': '',
        'com.docker.swarm.task.id': task.ID,
        'com.docker.swarm.task.name': `web.3.${task.ID}`,
        'com.docker.swarm.node.id': 'node1',
        'com.docker.swarm.service.id': 'service1',
        'com.docker.swarm.service.name': 'web',
        'swarm.role': 'task',
      });
    } finally {
      await harness.close();
    }
  });

  test.serial('the fields of the spec reach the engine', async (t) => {
    const harness = openDockerRuntime(engine);
    try {
      const task = shell('exec sleep 600', {
        container: {
          User: '1000:1000',
          Groups: ['2000'],
          Dir: '/tmp',
          TTY: true,
          OpenStdin: true,
          ReadOnly: true,
          StopSignal: 'SIGINT',
          Init: false,
          Hosts: ['198.18.0.9 nine IX'],
          DNSConfig: { Nameservers: ['198.18.0.53'], Search: ['a.test'], Options: ['ndots:3'] },
          CapabilityAdd: ['CAP_NET_ADMIN'],
          CapabilityDrop: ['CAP_CHOWN'],
          Ulimits: [{ Name: 'nofile', Soft: 100, Hard: 200 }],
          Sysctls: { 'kernel.shmmni': '99' },
          OomScoreAdj: 321,
          Privileges: { NoNewPrivileges: true, Seccomp: { Mode: 'unconfined' } },
          Healthcheck: {
            Test: ['CMD', 'true'],
            Interval: 70 * MS,
            Timeout: 80 * MS,
            StartPeriod: SECOND,
            Retries: 4,
          },
        },
        spec: {
          Resources: {
            Limits: { NanoCPUs: 5e8, MemoryBytes: 32 * MEBIBYTE, Pids: 50 },
            Reservations: { MemoryBytes: 16 * MEBIBYTE },
          },
          LogDriver: { Name: 'json-file', Options: { 'max-size': '1m' } },
        },
      });
      const { containerId } = await prepare(harness.runtime, task);
      const { Config, HostConfig } = await engine.api<Inspected>(
        'GET',
        `/containers/${containerId}/json`,
      );
      t.like(Config, {
        Image: TEST_IMAGE,
        Entrypoint: ['/bin/sh', '-c'],
        Cmd: ['exec sleep 600'],
        User: '1000:1000',
        WorkingDir: '/tmp',
        Tty: true,
        OpenStdin: true,
        StopSignal: 'SIGINT',
        Hostname: task.ID.slice(0, 12),
        Healthcheck: {
          Test: ['CMD', 'true'],
          Interval: 70 * MS,
          Timeout: 80 * MS,
          StartPeriod: SECOND,
          Retries: 4,
        },
      });
      t.like(HostConfig, {
        NetworkMode: 'none',
        RestartPolicy: { Name: 'no', MaximumRetryCount: 0 },
        ReadonlyRootfs: true,
        GroupAdd: ['2000'],
        ExtraHosts: ['nine:198.18.0.9', 'IX:198.18.0.9'],
        Dns: ['198.18.0.53'],
        DnsSearch: ['a.test'],
        DnsOptions: ['ndots:3'],
        CapAdd: ['CAP_NET_ADMIN'],
        CapDrop: ['CAP_CHOWN'],
        Ulimits: [{ Name: 'nofile', Soft: 100, Hard: 200 }],
        Sysctls: { 'kernel.shmmni': '99' },
        OomScoreAdj: 321,
        Init: false,
        SecurityOpt: ['seccomp=unconfined', 'no-new-privileges'],
        NanoCpus: 5e8,
        Memory: 32 * MEBIBYTE,
        PidsLimit: 50,
        LogConfig: { Type: 'json-file', Config: { 'max-size': '1m' } },
      });
    } finally {
      await harness.close();
    }
  });

  test.serial(
    'mounts are bound, made and filled, and a volume of no name goes with its task',
    async (t) => {
      const harness = openDockerRuntime(engine);
      const folder = mkdtempSync(join(tmpdir(), 'swarm-mount-'));
      try {
        writeFileSync(join(folder, 'in'), 'from the host\n');
        const task = shell(
          'cat /host/in; echo out >/bound/out; echo kept >/kept/file; echo x >/host/no; cat /proc/mounts',
          {
            container: {
              Mounts: [
                { Type: 'bind', Source: folder, Target: '/host', ReadOnly: true },
                { Type: 'bind', Source: folder, Target: '/bound' },
                {
                  Type: 'volume',
                  Source: 'kept-{{.Task.Slot}}',
                  Target: '/kept',
                  VolumeOptions: { Labels: { of: '{{.Service.Name}}' } },
                },
                { Type: 'volume', Target: '/anonymous' },
                {
                  Type: 'tmpfs',
                  Target: '/fast',
                  TmpfsOptions: { SizeBytes: MEBIBYTE, Mode: 0o1770 },
                },
              ],
            },
          },
        );
        const { containerId } = await prepare(harness.runtime, task);
        await harness.runtime.start(task.ID, progress);
        await harness.runtime.wait(task.ID);
        const out = (await collect(harness.runtime.logs(task.ID, ALL_LOGS))).map(text).join('');
        t.regex(out, /^from the host\n/m);
        t.regex(out, /can't create \/host\/no/);
        t.regex(out, /tmpfs \/fast tmpfs .*size=1024k,mode=1770/);
        t.is(readFileSync(join(folder, 'out'), 'utf8'), 'out\n');
        const { Mounts } = await engine.api<Inspected>('GET', `/containers/${containerId}/json`);
        const anonymous = Mounts.find(({ Destination }) => Destination === '/anonymous')!.Name!;
        const kept = await engine.api<{ Labels: object }>('GET', '/volumes/kept-1');
        t.deepEqual(kept.Labels, { of: 'web' });
        await harness.runtime.remove(task.ID);
        await t.throwsAsync(engine.api('GET', `/volumes/${anonymous}`), {
          message: /no such volume/,
        });
        await t.notThrowsAsync(engine.api('GET', '/volumes/kept-1'));
      } finally {
        await harness.close();
        rmSync(folder, { recursive: true });
      }
    },
  );

  test.serial('a task over its memory limit is killed, and its error says so', async (t) => {
    const harness = openDockerRuntime(engine);
    try {
      // Doubles a variable until the kernel steps in.
      const task = shell('a=0123456789; while :; do a=$a$a; done', {
        spec: { Resources: { Limits: { MemoryBytes: 8 * MEBIBYTE } } },
      });
      await prepare(harness.runtime, task);
      await harness.runtime.start(task.ID, progress);
      t.like(await harness.runtime.wait(task.ID), {
        kind: 'exit',
        code: 137,
        signal: 'SIGKILL',
        error: `the kernel killed it: out of memory, its limit is ${8 * MEBIBYTE} bytes`,
      });
    } finally {
      await harness.close();
    }
  });

  test.serial("the image's health check, stop signal and environment count", async (t) => {
    const harness = openDockerRuntime(engine);
    try {
      const task = shell(
        'trap "echo asked; exit 6" USR2; echo "$FROM_IMAGE:$GONE"; while :; do sleep 0.05; done',
        { container: { Image: '127.0.0.1:1/swarm-test/checked:1', Env: ['GONE'] } },
      );
      await prepare(harness.runtime, task);
      await t.throwsAsync(harness.runtime.start(task.ID, progress), { message: /healthy/ });
      t.regex(JSON.stringify(await harness.runtime.wait(task.ID)), /2 times in a row/);
      await harness.runtime.stop(task.ID, { graceMs: 10_000 });
      t.like(await harness.runtime.wait(task.ID), { kind: 'exit', code: 6 });
      const lines = (await collect(harness.runtime.logs(task.ID, ALL_LOGS))).map(text);
      t.deepEqual(lines, ['yes:\n', 'asked\n']);
      const well = shell('>/tmp/well; exec sleep 600', {
        container: { Image: '127.0.0.1:1/swarm-test/checked:1' },
      });
      await prepare(harness.runtime, well);
      await t.notThrowsAsync(harness.runtime.start(well.ID, progress));
    } finally {
      await harness.close();
    }
  });

  test.serial('a command that is not in the image fails the start with its name', async (t) => {
    const harness = openDockerRuntime(engine);
    try {
      const task = shell('', { container: { Command: ['no-such-program'], Args: [] } });
      await prepare(harness.runtime, task);
      await t.throwsAsync(harness.runtime.start(task.ID, progress), {
        message: /no-such-program.*not found/,
      });
      t.like(await harness.runtime.wait(task.ID), { kind: 'exit', code: 127 });
    } finally {
      await harness.close();
    }
  });

  const refused: readonly (readonly [RegExp, Partial<ContainerSpec>, Partial<TaskSpec>?])[] = [
    [/ContainerSpec\.Secrets/, { Secrets: [{ SecretID: 's', SecretName: 's' }] }],
    [/ContainerSpec\.Configs/, { Configs: [{ ConfigID: 'c', ConfigName: 'c' }] }],
    [/ContainerSpec\.Isolation/, { Isolation: 'hyperv' }],
    [
      /ContainerSpec\.Mounts has the type "cluster"/,
      { Mounts: [{ Type: 'cluster', Target: '/a' }] },
    ],
    [
      /Healthcheck\.StartInterval needs Engine API 1\.44/,
      { Healthcheck: { Test: ['CMD', 'true'], StartInterval: SECOND } },
    ],
    [/ContainerSpec\.StopSignal is "SIGNOPE"/, { StopSignal: 'SIGNOPE' }],
    [/ContainerSpec\.Env has "=x"/, { Env: ['=x'] }],
    [/ContainerSpec\.Env has the placeholder/, { Env: ['A={{.Nope}}'] }],
    [/ContainerSpec\.Hosts has "lonely"/, { Hosts: ['lonely'] }],
    [/Privileges\.Seccomp\.Mode is "odd"/, { Privileges: { Seccomp: { Mode: 'odd' } } }],
    [/image "host"/, { Image: 'host' }],
    [
      /^bind source path does not exist: \/none\/such .*see ContainerSpec\.Mounts/,
      { Mounts: [{ Type: 'bind', Source: '/none/such', Target: '/a' }] },
    ],
    [/see Resources.Limits.MemoryBytes\)/, {}, { Resources: { Limits: { MemoryBytes: 1024 } } }],
    [/see Resources.Limits.NanoCPUs\)/, {}, { Resources: { Limits: { NanoCPUs: 1e15 } } }],
    [/nope.*see LogDriver\)/, {}, { LogDriver: { Name: 'json-file', Options: { nope: '1' } } }],
  ];
  test.serial('an unsupported field is refused by name', async (t) => {
    const harness = openDockerRuntime(engine);
    try {
      for (const [message, container, spec] of refused) {
        const task = shell('exec sleep 600', {
          container,
          ...(spec === undefined ? {} : { spec }),
        });
        await t.throwsAsync(
          prepare(harness.runtime, task),
          { message, name: 'RuntimeError' },
          String(message),
        );
      }
      t.deepEqual(await harness.runtime.list(), []);
    } finally {
      await harness.close();
    }
  });
} else {
  test.skip(`docker runtime's specs: SKIPPED, ${lacks}`, () => {});
}
