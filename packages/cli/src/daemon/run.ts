import type { DaemonOptions } from './options.js';
export async function runDaemon(options: DaemonOptions): Promise<number> {
  throw new Error(`not wired: ${options.dataRoot}`);
}
