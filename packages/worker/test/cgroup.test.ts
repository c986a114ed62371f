import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '@swarm/api';
import test from 'ava';
import { Cgroups } from '../src/runtime/process/cgroup.js';
import { makeFolder } from './support/real.js';

const LIMITS = { memoryBytes: 64 * 2 ** 20, nanoCpus: 1.5e9, pids: 9 };

test('On a host with version 2 all limits go into the one hierarchy', (t) => {
  const folder = makeFolder();
  writeFileSync(join(folder.path, 'cgroup.controllers'), 'cpuset cpu io memory pids\n');
  const task = join(folder.path, 'swarm/t1');
  mkdirSync(task, { recursive: true });
  writeFileSync(join(task, 'memory.swap.max'), 'max');
  const cgroups = new Cgroups('swarm', systemClock(), `cgroup2 ${folder.path} cgroup2 rw 0 0\n`);
  t.deepEqual(cgroups.create('t1', LIMITS), [join(task, 'cgroup.procs')]);
  const read = (file: string): string => readFileSync(join(folder.path, file), 'utf8');
  t.is(read('cgroup.subtree_control'), '+cpu +memory +pids');
  t.is(read('swarm/cgroup.subtree_control'), '+cpu +memory +pids');
  t.is(read('swarm/t1/memory.max'), String(64 * 2 ** 20));
  t.is(read('swarm/t1/memory.swap.max'), '0');
  t.is(read('swarm/t1/cpu.max'), '150000 100000');
  t.is(read('swarm/t1/pids.max'), '9');
  folder.remove();
});

test('On a hybrid host each limit goes where its controller is; without limits one cgroup does', (t) => {
  const folder = makeFolder();
  const mount = (name: string): string => {
    mkdirSync(join(folder.path, name));
    return join(folder.path, name);
  };
  const unified = mount('unified');
  writeFileSync(join(unified, 'cgroup.controllers'), 'hugetlb\n');
  const mounts = [
    `cgroup ${mount('cpu')} cgroup rw,cpu,cpuacct 0 0`,
    `cgroup ${mount('memory')} cgroup rw,memory 0 0`,
    `cgroup ${mount('pids')} cgroup rw,pids 0 0`,
    `cgroup2 ${unified} cgroup2 rw 0 0`,
  ].join('\n');
  const cgroups = new Cgroups('swarm', systemClock(), mounts);
  const procs = (name: string, id: string) => join(folder.path, name, 'swarm', id, 'cgroup.procs');
  t.deepEqual(cgroups.create('t1', {}), [procs('unified', 't1')]);
  t.false(existsSync(join(unified, 'cgroup.subtree_control')));
  t.deepEqual(cgroups.create('t2', LIMITS), [
    procs('unified', 't2'),
    procs('memory', 't2'),
    procs('cpu', 't2'),
    procs('pids', 't2'),
  ]);
  const read = (file: string): string => readFileSync(join(folder.path, file), 'utf8');
  t.is(read('memory/swarm/t2/memory.limit_in_bytes'), String(64 * 2 ** 20));
  t.is(read('cpu/swarm/t2/cpu.cfs_quota_us'), '150000');
  folder.remove();
});

test('A limit without a controller is refused by the name of its field', (t) => {
  const folder = makeFolder();
  writeFileSync(join(folder.path, 'cgroup.controllers'), 'pids\n');
  const cgroups = new Cgroups('swarm', systemClock(), `cgroup2 ${folder.path} cgroup2 rw 0 0\n`);
  t.throws(() => cgroups.create('t1', { memoryBytes: 2 ** 30 }), {
    message: /Resources\.Limits\.MemoryBytes cannot be enforced: this host has no memory cgroup/,
  });
  folder.remove();
});
