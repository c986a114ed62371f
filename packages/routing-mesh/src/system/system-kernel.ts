import { systemClock } from '@swarm/api';
import { open, readdir, readFile, writeFile } from 'node:fs/promises';
import type { Kernel } from '../kernel/kernel.js';
import { nftCommand } from '../kernel/nft-command.js';
import { openLibnftables } from './libnftables.js';
import { releaseMemory, releasingMemory } from './memory-release.js';
import { openNetlink } from './netlink-socket.js';
import { runCommand } from './run-command.js';

/** Most bytes read of a file at a time. */
const PIECE_BYTES = 64 * 1024;

/** The kernel of this process's network namespace. */
export function systemKernel(): Kernel {
  const released = { clock: systemClock({ unref: true }), release: () => void releaseMemory() };
  return {
    get isPrivileged() {
      return process.geteuid?.() === 0;
    },
    run: runCommand,
    openNetlink,
    packetFilters: [
      async () => releasingMemory(await openLibnftables(runCommand), released),
      async () => releasingMemory(nftCommand(runCommand), released),
    ],
    async readFile(path, isEnough) {
      try {
        return isEnough === undefined
          ? await readFile(path, 'utf8')
          : await readStart(path, isEnough);
      } catch {
        return undefined;
      }
    },
    writeFile: (path, text) => writeFile(path, text),
    listFolder: (path) => readdir(path),
  };
}

/** Reads a file piece by piece until it ends, or what was read is enough. */
async function readStart(path: string, isEnough: (text: string) => boolean): Promise<string> {
  const file = await open(path, 'r');
  try {
    const buffer = Buffer.alloc(PIECE_BYTES);
    let text = '';
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
      text += buffer.toString('latin1', 0, bytesRead);
      if (bytesRead === 0 || isEnough(text)) return text;
    }
  } finally {
    await file.close();
  }
}
