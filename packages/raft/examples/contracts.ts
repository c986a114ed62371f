/** `node --test contracts.js` shows that a storage and a transport of one's own do what a member needs. */
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { runContract, storageContract, transportContract } from '@swarm/raft/contract';
import { FileStorage } from './file-storage.js';
import { type Loop, LoopTransport } from './loop-transport.js';

runContract(test, 'file storage', storageContract, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'file-storage-'));
  let life = 0;
  const path = () => join(folder, String(life));
  return {
    create: () => new FileStorage(path()),
    // What a process that dies now leaves is a copy; what it still does, it does to the original.
    crash: async () => {
      const before = path();
      life++;
      await copyFile(before, path());
    },
    remove: () => rm(folder, { recursive: true }),
  };
});

runContract(test, 'loop transport', transportContract, async () => {
  const loop: Loop = new Map();
  return {
    create: async (id) => ({
      transport: new LoopTransport(loop, id),
      member: { id, address: `loop:${id}`, nodeId: `node-${id}` },
    }),
    remove: async () => {},
  };
});
