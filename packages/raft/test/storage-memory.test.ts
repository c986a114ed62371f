import test from 'ava';
import { MemoryDisk, MemoryStorage } from '../src/storage/memory-storage.js';
import { storageContract } from './contract/storage-contract.js';

storageContract(test, 'memory', async () => {
  const disk = new MemoryDisk();
  return {
    create: () => new MemoryStorage({ disk }),
    crash: async () => disk.crash(),
    remove: async () => {},
  };
});
