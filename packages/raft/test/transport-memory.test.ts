import test from 'ava';
import { MemoryNetwork } from '../src/transport/memory-transport.js';
import { runContract, transportContract } from '../src/contract/index.js';

runContract(test, 'memory', transportContract, async () => {
  const network = new MemoryNetwork();
  return {
    create: async (id) => ({
      transport: network.join(id),
      member: { id, address: `memory:${id}`, nodeId: `node-${id}` },
    }),
    remove: async () => {},
  };
});
