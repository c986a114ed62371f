import type { Logger } from '@swarm/api';
import type { Kernel } from './kernel.js';

const ROOT = '/proc/sys/net';

/** A setting under `/proc/sys/net`; `0` if it does not exist. */
export async function readSysctl(kernel: Kernel, name: string): Promise<string> {
  return ((await kernel.readFile(`${ROOT}/${name}`)) ?? '0').trim();
}

/** Names under `/proc/sys/net/NAME`. */
export function listSysctls(kernel: Kernel, name: string): Promise<readonly string[]> {
  return kernel.listFolder(`${ROOT}/${name}`);
}

/** Changes a setting. Reports one that cannot be changed, and the mesh carries on. */
export async function setSysctl(
  kernel: Kernel,
  logger: Logger,
  name: string,
  value: string,
): Promise<void> {
  try {
    await kernel.writeFile(`${ROOT}/${name}`, value);
  } catch (error) {
    logger.warn(
      { err: error, sysctl: `net/${name}`, value },
      'could not set this sysctl; set it by hand',
    );
  }
}
