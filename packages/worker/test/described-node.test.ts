import { silentLogger } from '@swarm/api';
import test from 'ava';
import { DescribedNode } from '../src/agent/described-node.js';
import type { RuntimeDescription } from '../src/runtime/runtime.js';
import { FakeMesh } from './support/fake-mesh.js';

test('a node carries networks of the cluster where its runtime has namespaces and its mesh is in the kernel', async (t) => {
  const capabilities = ['images', 'network-none', 'network-overlay'] as const;
  const runtime = {
    describe: async (): Promise<RuntimeDescription> => ({
      kind: 'docker',
      hostname: 'h',
      platform: { Architecture: 'x86_64', OS: 'linux' },
      resources: { NanoCPUs: 1e9, MemoryBytes: 1 },
      engineVersion: '1',
      capabilities,
    }),
  };
  const declared = async (backend: string) => {
    const mesh = Object.assign(new FakeMesh(), { backend });
    const options = { nodeId: 'n', runtime, mesh, logger: silentLogger };
    const node = new DescribedNode(
      options as unknown as ConstructorParameters<typeof DescribedNode>[0],
    );
    await node.ask();
    return node.description.RuntimeCapabilities;
  };
  t.deepEqual(await declared('nftables'), capabilities);
  t.deepEqual(await declared('userspace'), ['images', 'network-none']);
});
