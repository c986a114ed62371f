import type { ContainerSpec, TaskSpec } from '@swarm/api';
import test from 'ava';
import { logLimitBytes } from '@swarm/api';
import { checkProcessSpec } from '../src/runtime/process/process-spec.js';
import { RuntimeError } from '../src/runtime/runtime-error.js';
import { makeTask, type TaskWishes } from './support/make-task.js';

function refusal(wishes: TaskWishes, privileged = true): string {
  try {
    checkProcessSpec(makeTask('t1', wishes), privileged);
  } catch (error) {
    if (error instanceof RuntimeError && error.reason === 'rejected') return error.message;
    throw error;
  }
  return '';
}

test('A plain task is accepted, with and without root', (t) => {
  t.is(refusal({}), '');
  t.is(refusal({}, false), '');
  t.is(refusal({ container: { Image: 'host:latest' } }), '');
});

test('Another image is refused with what to do', (t) => {
  const message = refusal({ container: { Image: 'nginx:1.27' } });
  t.regex(message, /"nginx:1\.27" needs a container engine/);
  t.regex(message, /use the image "host".*--runtime docker/);
});

test('The image host without a command is refused', (t) => {
  t.regex(refusal({ container: { Args: [] } }), /set ContainerSpec\.Command or Args/);
});

test('A field that a process cannot have is refused by name', (t) => {
  const fields: Partial<ContainerSpec> = {
    TTY: true,
    OpenStdin: true,
    ReadOnly: true,
    Mounts: [{ Type: 'bind', Source: '/a', Target: '/b' }],
    Hosts: ['127.0.0.1 a'],
    DNSConfig: { Nameservers: ['127.0.0.1'] },
    Secrets: [{ SecretID: 's', SecretName: 's' }],
    Configs: [{ ConfigID: 'c', ConfigName: 'c' }],
    Sysctls: { 'net.core.somaxconn': '1' },
    Isolation: 'hyperv',
    Privileges: { NoNewPrivileges: true },
  };
  for (const [field, value] of Object.entries(fields)) {
    t.regex(
      refusal({ container: { [field]: value } }),
      new RegExp(`ContainerSpec\\.${field} `),
      field,
    );
  }
});

test('Empty values of such fields are no request', (t) => {
  const container: Partial<ContainerSpec> = {
    TTY: false,
    Mounts: [],
    Hosts: [],
    DNSConfig: { Nameservers: [] },
    Secrets: [],
    Sysctls: {},
    Isolation: 'default',
    Privileges: { NoNewPrivileges: false },
  };
  t.is(refusal({ container }), '');
});

test('Without root, a field that needs root is refused by name', (t) => {
  const container: Partial<ContainerSpec> = {
    User: 'nobody',
    Groups: ['1'],
    Hostname: 'a',
    CapabilityAdd: ['CAP_CHOWN'],
    CapabilityDrop: ['CAP_CHOWN'],
    Ulimits: [{ Name: 'nofile', Soft: 1, Hard: 1 }],
    OomScoreAdj: 5,
  };
  for (const [field, value] of Object.entries(container)) {
    t.regex(refusal({ container: { [field]: value } }, false), new RegExp(`${field} needs root`));
    t.is(refusal({ container: { [field]: value } }), '');
  }
  for (const [field, value] of [
    ['MemoryBytes', 1e8],
    ['NanoCPUs', 1e9],
    ['Pids', 10],
  ] as const) {
    const spec: Partial<TaskSpec> = { Resources: { Limits: { [field]: value } } };
    t.regex(refusal({ spec }, false), new RegExp(`Limits\\.${field} needs root`));
  }
});

test('A bad stop signal or health check is refused', (t) => {
  t.regex(refusal({ container: { StopSignal: 'SIGNONE' } }), /StopSignal is "SIGNONE"/);
  t.is(refusal({ container: { StopSignal: 'SIGRTMIN+3' } }), '');
  t.regex(refusal({ container: { Healthcheck: { Test: ['CMD'] } } }), /Healthcheck\.Test/);
  t.regex(refusal({ container: { Healthcheck: { Test: ['curl x'] } } }), /Healthcheck\.Test/);
  t.is(refusal({ container: { Healthcheck: { Test: ['NONE'] } } }), '');
});

test('The size of a log is read from the options of its driver', (t) => {
  const spec = (LogDriver: NonNullable<TaskSpec['LogDriver']>): TaskSpec => ({
    ForceUpdate: 0,
    LogDriver,
  });
  t.is(logLimitBytes({}, 7), 7);
  t.is(logLimitBytes(spec({ Name: 'json-file', Options: { 'max-size': '10m' } }), 7), 10 * 2 ** 20);
  t.is(logLimitBytes(spec({ Options: { 'max-size': '2k', 'max-file': '3' } }), 7), 6 * 1024);
  t.throws(() => logLimitBytes(spec({ Name: 'syslog' }), 7), {
    message: /LogDriver\.Name is "syslog"/,
  });
  t.throws(() => logLimitBytes(spec({ Options: { tag: 'x' } }), 7), { message: /has "tag"/ });
  t.throws(() => logLimitBytes(spec({ Options: { 'max-size': 'big' } }), 7), {
    message: /max-size/,
  });
});
