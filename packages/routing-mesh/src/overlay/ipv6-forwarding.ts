import type { Logger } from '@swarm/api';
import type { Kernel } from '../kernel/kernel.js';
import { listSysctls, readSysctl, setSysctl } from '../kernel/sysctls.js';

/**
 * Makes the node forward IPv6. A host that forwards ignores router advertisements unless told otherwise, and would
 * lose its own default route: devices that listened to them still do.
 */
export async function forwardIpv6(kernel: Kernel, logger: Logger): Promise<void> {
  const now = await kernel.readFile('/proc/sys/net/ipv6/conf/all/forwarding');
  // The host has no IPv6, or forwards it already.
  if (now?.trim() !== '0') return;
  for (const device of await listSysctls(kernel, 'ipv6/conf')) {
    const setting = `ipv6/conf/${device}/accept_ra`;
    if ((await readSysctl(kernel, setting)) === '1') await setSysctl(kernel, logger, setting, '2');
  }
  await setSysctl(kernel, logger, 'ipv6/conf/all/forwarding', '1');
}
