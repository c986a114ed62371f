import type { Logger } from '@swarm/api';
import type { Kernel } from '../kernel/kernel.js';
import { listSysctls, readSysctl, setSysctl } from '../kernel/sysctls.js';
import { TASK_LINK_PREFIX, TUNNEL_DEVICE } from '../layout.js';

/** Makes the node forward packets, and accept any client's address from the tunnel. */
export async function tuneForwarding(
  kernel: Kernel,
  logger: Logger,
  { hasIpv6 }: { readonly hasIpv6: boolean },
): Promise<void> {
  await setSysctl(kernel, logger, 'ipv4/ip_forward', '1');
  await moveReversePathFilter(kernel, logger);
  await setSysctl(kernel, logger, `ipv4/conf/${TUNNEL_DEVICE}/rp_filter`, '0');
  if (hasIpv6) await forwardIpv6(kernel, logger);
}

/**
 * The kernel uses the larger of `all` and a device's own reverse path filter, and the tunnel must have none. So
 * this writes the value of `all` to each other device before it sets `all` to 0. Nothing becomes less strict.
 */
async function moveReversePathFilter(kernel: Kernel, logger: Logger): Promise<void> {
  const all = Number(await readSysctl(kernel, 'ipv4/conf/all/rp_filter'));
  if (all === 0) return;
  for (const device of await listSysctls(kernel, 'ipv4/conf')) {
    if (device === 'all' || device === TUNNEL_DEVICE || device.startsWith(TASK_LINK_PREFIX))
      continue;
    const own = Number(await readSysctl(kernel, `ipv4/conf/${device}/rp_filter`));
    if (own < all) await setSysctl(kernel, logger, `ipv4/conf/${device}/rp_filter`, `${all}`);
  }
  await setSysctl(kernel, logger, 'ipv4/conf/all/rp_filter', '0');
  logger.info({ was: all }, 'moved the reverse path filter from "all" to each device');
}

/**
 * A host that forwards IPv6 takes no router advertisements unless it is told to (`accept_ra` 2), and would lose
 * its own default route when that expires. So this first writes 2 to each device that takes them.
 */
async function forwardIpv6(kernel: Kernel, logger: Logger): Promise<void> {
  if ((await readSysctl(kernel, 'ipv6/conf/all/forwarding')) === '1') return;
  for (const device of await listSysctls(kernel, 'ipv6/conf')) {
    if (device === 'all' || device === TUNNEL_DEVICE || device.startsWith(TASK_LINK_PREFIX))
      continue;
    const name = `ipv6/conf/${device}/accept_ra`;
    if ((await readSysctl(kernel, name)) === '1') await setSysctl(kernel, logger, name, '2');
  }
  await setSysctl(kernel, logger, 'ipv6/conf/all/forwarding', '1');
}
