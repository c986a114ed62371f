/**
 * `node --test contracts.js` shows that a storage and a transport of your own do what a member
 * needs.
 */
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
    // A process that dies now leaves a copy; whatever it still does, it does to the original.
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
