import type { RunCommand } from '../../src/kernel/command.js';
import type { Kernel } from '../../src/kernel/kernel.js';

/** A kernel that runs nothing: commands go to `run`, settings are kept. */
export function fakeKernel(run: RunCommand): Kernel & { readonly files: Map<string, string> } {
  const files = new Map<string, string>();
  return {
    files,
    isPrivileged: true,
    run,
    packetFilters: [],
    openNetlink: async () => {
      throw new Error('a kernel on paper has no netlink');
    },
    readFile: async (path) => files.get(path),
    async writeFile(path, text) {
      files.set(path, text);
    },
    listFolder: async () => [],
  };
}
