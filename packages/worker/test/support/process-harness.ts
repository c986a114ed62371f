import { existsSync, readdirSync } from 'node:fs';
import { silentLogger, systemClock } from '@swarm/api';
import { ProcessRuntime } from '../../src/runtime/process/process-runtime.js';
import type { RuntimeHarness } from '../contract/runtime-contract.js';
import { makeFolder } from './real.js';

let counter = 0;

/** A process runtime in a temporary folder with a cgroup parent of its own. */
export async function openProcessRuntime(
  privileged: boolean,
): Promise<RuntimeHarness & { folder: string; parent: string; open(): ProcessRuntime }> {
  const folder = makeFolder();
  counter += 1;
  const parent = `swarm-test-${process.pid}-${counter}`;
  const open = (): ProcessRuntime =>
    new ProcessRuntime({
      folder: folder.path,
      clock: systemClock(),
      logger: silentLogger,
      random: Math.random,
      privileged,
      cgroupParent: parent,
    });
  const harness = {
    runtime: open(),
    folder: folder.path,
    parent,
    open,
    async reopen() {
      await harness.runtime.close();
      harness.runtime = open();
      return harness.runtime;
    },
    async close() {
      for (const { taskId } of await harness.runtime.list()) await harness.runtime.remove(taskId);
      await harness.runtime.close();
      folder.remove();
      const left = cgroupsOf(parent);
      if (left.length > 0) throw new Error(`cgroups left: ${left.join(', ')}`);
    },
  };
  return harness;
}

/** Cgroup folders of a parent that still exist, in any hierarchy. */
export function cgroupsOf(parent: string): string[] {
  const root = '/sys/fs/cgroup';
  return ['.', ...readdirSync(root)]
    .map((hierarchy) => `${root}/${hierarchy}/${parent}`)
    .filter((path) => existsSync(path));
}

export const IS_ROOT = process.getuid?.() === 0;
