import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger, systemClock } from '@swarm/api';
import { ProcessRuntime } from '../../src/runtime/process/process-runtime.js';
import type { RuntimeHarness } from '../contract/runtime-contract.js';
import { reapLeftRuns, recordRun } from './left-runs.js';

let counter = 0;
/** Once for each process: what earlier ones left when they were killed. */
let reaped: Promise<unknown> | undefined;

export interface ProcessHarnessOptions {
  /** Where its folder is made; default: the one for temporary files, which tasks do not see. */
  readonly parentFolder?: string;
  readonly hiddenSockets?: readonly string[];
  readonly usesCalls?: boolean;
}

export type ProcessHarness = Awaited<ReturnType<typeof openProcessRuntime>>;

/** A process runtime in a temporary folder with a cgroup parent of its own. */
export async function openProcessRuntime(
  privileged: boolean,
  options: ProcessHarnessOptions = {},
): Promise<RuntimeHarness & { folder: string; parent: string; open(): ProcessRuntime }> {
  reaped ??= reapLeftRuns();
  await reaped;
  // Not one that goes with the process: it says what to reap when a test fails before it closes.
  const folder = mkdtempSync(join(options.parentFolder ?? tmpdir(), 'swarm-worker-'));
  counter += 1;
  const parent = `swarm-test-${process.pid}-${counter}`;
  const forget = recordRun({ folder, cgroupParent: parent, privileged });
  const open = (): ProcessRuntime =>
    new ProcessRuntime({
      folder,
      clock: systemClock(),
      logger: silentLogger,
      random: Math.random,
      privileged,
      cgroupParent: parent,
      hiddenSockets: options.hiddenSockets ?? [],
      ...(options.usesCalls === undefined ? {} : { usesCalls: options.usesCalls }),
    });
  const harness = {
    runtime: open(),
    folder,
    parent,
    open,
    async reopen() {
      await harness.runtime.close();
      harness.runtime = open();
      return harness.runtime;
    },
    async close() {
      for (const { taskId } of await harness.runtime.list()) await harness.runtime.remove(taskId);
      for (const id of await harness.runtime.listSandboxes()) {
        await harness.runtime.removeSandbox(id);
      }
      await harness.runtime.close();
      rmSync(folder, { recursive: true, force: true });
      forget();
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
