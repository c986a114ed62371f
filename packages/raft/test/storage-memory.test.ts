import test from 'ava';
import { MemoryDisk, MemoryStorage } from '../src/storage/memory-storage.js';
import { runContract, storageContract } from '../src/contract/index.js';

runContract(test, 'memory', storageContract, async () => {
  const disk = new MemoryDisk();
  return {
    create: () => new MemoryStorage({ disk }),
    crash: async () => disk.crash(),
    remove: async () => {},
  };
});
