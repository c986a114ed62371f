import { readdir, readFile, writeFile } from 'node:fs/promises';
import type { Kernel } from '../kernel/kernel.js';
import { nftCommand } from '../kernel/nft-command.js';
import { openLibnftables } from './libnftables.js';
import { runCommand } from './run-command.js';

/** The kernel of this process's network namespace. */
export function systemKernel(): Kernel {
  return {
    get isPrivileged() {
      return process.geteuid?.() === 0;
    },
    run: runCommand,
    packetFilters: [() => openLibnftables(runCommand), async () => nftCommand(runCommand)],
    async readFile(path) {
      try {
        return await readFile(path, 'utf8');
      } catch {
        return undefined;
      }
    },
    writeFile: (path, text) => writeFile(path, text),
    listFolder: (path) => readdir(path),
  };
}
