import test from 'ava';
import { nodeDescriptionShape } from '../src/shapes/node.js';
import {
  neededCapabilities,
  RUNTIME_CAPABILITIES,
  runtimeCapabilities,
} from '../src/values/runtime-capabilities.js';
import type { ContainerSpec, TaskSpec } from '../src/objects/service.js';

const needs = (container: Partial<ContainerSpec>, spec: Partial<TaskSpec> = {}): string[] =>
  [
    ...neededCapabilities({
      ContainerSpec: { Image: 'nginx', ...container },
      ForceUpdate: 0,
      ...spec,
    }),
  ].sort();

test('what a task needs of a runtime follows from its spec', (t) => {
  t.deepEqual(needs({}), ['images']);
  t.deepEqual(needs({ Image: 'host' }), ['host-commands']);
  t.deepEqual(needs({ Image: 'host:latest', User: 'web' }), ['host-commands', 'users']);
  t.deepEqual(needs({ ReadOnly: true }), ['images', 'rootfs']);
  t.deepEqual(needs({ Hosts: ['198.18.0.1 db'] }), ['images', 'rootfs']);
  t.deepEqual(needs({ DNSConfig: { Nameservers: ['198.18.0.53'] } }), ['images', 'rootfs']);
  t.deepEqual(needs({ TTY: true }), ['images', 'terminals']);
  t.deepEqual(needs({ Sysctls: { 'net.core.somaxconn': '9' } }), ['images', 'sysctls']);
  t.deepEqual(needs({ Privileges: { NoNewPrivileges: true } }), ['images', 'security-profiles']);
  t.deepEqual(needs({}, { Resources: { Limits: { Pids: 5 } } }), ['images', 'limits']);
  for (const Target of ['host', 'none', 'bridge'])
    t.deepEqual(needs({}, { Networks: [{ Target }] }), ['images', `network-${Target}`]);
  t.deepEqual(needs({}, { Networks: [{ Target: 'front' }] }), ['images', 'network-overlay']);
});

test('a spec that asks for nothing needs nothing', (t) => {
  const empty = {
    ReadOnly: false,
    Mounts: [],
    Hosts: [],
    DNSConfig: { Nameservers: [], Search: [], Options: [] },
    Privileges: { NoNewPrivileges: false },
    Sysctls: {},
    User: '',
    Groups: [],
    OomScoreAdj: 0,
  };
  t.deepEqual(needs(empty, { Resources: { Limits: { NanoCPUs: 0, MemoryBytes: 0 } } }), ['images']);
  t.deepEqual([...neededCapabilities({ ForceUpdate: 0 })], []);
});

test('a node of an older version is judged by the name of its runtime, any other by its capabilities', (t) => {
  t.deepEqual(runtimeCapabilities({ Runtime: 'process' }), ['host-commands', 'limits', 'users']);
  t.false(runtimeCapabilities({ Runtime: 'docker' }).includes('host-commands'));
  t.true(runtimeCapabilities({ Runtime: 'docker' }).includes('images'));
  // Such a node would ignore the network.
  t.false(runtimeCapabilities({ Runtime: 'docker' }).includes('network-host'));
  // A node may say any word, names of Object.prototype too.
  t.deepEqual(runtimeCapabilities({ Runtime: 'constructor' }), RUNTIME_CAPABILITIES);
  t.deepEqual(runtimeCapabilities({}), RUNTIME_CAPABILITIES);
  const declared = { Runtime: 'process', RuntimeCapabilities: ['images', 'wings'] };
  t.deepEqual(runtimeCapabilities(declared), ['images', 'wings']);
  t.deepEqual(runtimeCapabilities({ ...declared, RuntimeCapabilities: [] }), []);
});

test('capabilities on the wire are few and short', (t) => {
  const described = (RuntimeCapabilities: unknown) =>
    nodeDescriptionShape.read({
      Hostname: 'n1',
      Platform: { Architecture: 'x86_64', OS: 'linux' },
      Resources: {},
      Engine: { EngineVersion: '1' },
      RuntimeCapabilities,
    });
  t.deepEqual(described(['images', 'wings']).RuntimeCapabilities, ['images', 'wings']);
  t.throws(() => described(Array.from({ length: 65 }, (_each, at) => `c${at}`)));
  t.throws(() => described(['x'.repeat(65)]));
  t.throws(() => described([7]));
  t.throws(() => described('images'));
});
