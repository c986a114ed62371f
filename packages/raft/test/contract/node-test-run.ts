/** The storage contract under Node's own test runner; contract.test.ts runs this as a process of its own. */
import test from 'node:test';
import { MemoryDisk, MemoryStorage } from '@swarm/raft';
import { runContract, storageContract } from '@swarm/raft/contract';

runContract(test, 'memory', storageContract, async () => {
  const disk = new MemoryDisk();
  return {
    create: () => new MemoryStorage({ disk }),
    crash: async () => disk.crash(),
    remove: async () => {},
  };
});
