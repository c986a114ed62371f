import test from 'ava';
import { MemoryNetwork } from '../src/transport/memory-transport.js';
import { transportContract } from './contract/transport-contract.js';

transportContract(test, 'memory', async () => {
  const network = new MemoryNetwork();
  return {
    create: async (id) => ({
      transport: network.join(id),
      member: { id, address: `memory:${id}`, nodeId: `node-${id}` },
    }),
    remove: async () => {},
  };
});
