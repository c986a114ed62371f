import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { LevelStorage } from '../src/storage/level-storage.js';
import { runContract, storageContract } from '../src/contract/index.js';
import { copyStore } from './contract/store-fixture.js';

runContract(test, 'level', storageContract, async () => {
  const root = await mkdtemp(join(tmpdir(), 'raft-storage-'));
  let life = 0;
  const path = (): string => join(root, String(life));
  return {
    create: () => new LevelStorage({ path: path(), clusterId: 'cluster', memberId: 1 }),
    // What a kill of the process would leave now; the running one continues separately.
    crash: async () => {
      const before = path();
      life++;
      await copyStore(before, path());
    },
    remove: () => rm(root, { recursive: true }),
  };
});
