import type { Logger } from '@swarm/api';
import type { Kernel } from './kernel.js';
import type { TableFamily } from '../layout.js';
import type { Nft } from './nft.js';

/** Where a kernel with IPv6 says so: `0` while nobody has switched it off. */
const IPV6_SWITCH = '/proc/sys/net/ipv6/conf/all/disable_ipv6';

/** What one table for both families takes besides. Made and deleted as the next. */
const PROBE_INET = `add table inet swarm_probe
add chain inet swarm_probe c { type nat hook prerouting priority -100; }
add map inet swarm_probe m { type mark : ipv6_addr . inet_service; }
add rule inet swarm_probe c fib daddr type local meta nfproto ipv6 meta l4proto tcp dnat ip6 addr . port to ct mark map @m
delete table inet swarm_probe
`;

/** A table made and deleted within one transaction: nobody ever sees it. */
const PROBE = `add table ip swarm_probe
add chain ip swarm_probe c { type nat hook prerouting priority -100; }
add map ip swarm_probe m { type mark : ipv4_addr . inet_service; }
add rule ip swarm_probe c meta l4proto tcp dnat ip addr . port to ct mark map @m
delete table ip swarm_probe
`;

/** What limits of clients take besides: modules that small kernels leave out. */
const PROBE_LIMITS = `add table ip swarm_probe
add chain ip swarm_probe c
add set ip swarm_probe pace { type ipv4_addr; size 16; flags dynamic,timeout; }
add set ip swarm_probe open { type ipv4_addr; size 16; flags dynamic; }
add rule ip swarm_probe c update @pace { ip saddr timeout 1s limit rate over 1/second burst 1 packets } drop
add rule ip swarm_probe c add @open { ip saddr ct count over 1 } drop
delete table ip swarm_probe
`;

/** A way into the packet filter, and what it can do. */
export interface OpenedFilter {
  readonly nft: Nft;
  readonly family: TableFamily;
  /** Why ports that limit their clients cannot be served, as the end of a sentence; undefined if they can. */
  readonly limitsProblem?: string | undefined;
}

/** Opens the fastest way into the kernel's packet filter that works, or says why none works. */
export async function openPacketFilter(
  kernel: Kernel,
  logger: Logger,
): Promise<OpenedFilter | { readonly reason: string }> {
  if (!kernel.isPrivileged) return { reason: 'it needs root' };
  try {
    await kernel.run('ip', ['-V']);
    await kernel.run('nft', ['-v']);
  } catch {
    return { reason: 'the commands "ip" or "nft" are missing; install iproute2 and nftables' };
  }
  let reason = '';
  for (const open of kernel.packetFilters) {
    let nft: Nft | undefined;
    try {
      nft = await open();
      await nft.run(PROBE);
      logger.debug({ kind: nft.kind }, 'opened nftables');
      const family = await familyOf(kernel, nft, logger);
      return { nft, family, limitsProblem: await limitsProblemOf(nft, logger) };
    } catch (error) {
      nft?.close();
      reason = error instanceof Error ? error.message : String(error);
      logger.debug({ err: error }, 'one way into nftables does not work');
    }
  }
  return { reason };
}

/** `ip` where the kernel has no IPv6, or cannot translate it. */
async function familyOf(kernel: Kernel, nft: Nft, logger: Logger): Promise<TableFamily> {
  if ((await kernel.readFile(IPV6_SWITCH))?.trim() !== '0') return 'ip';
  try {
    await nft.run(PROBE_INET);
    return 'inet';
  } catch (error) {
    logger.warn(
      { err: error },
      'the kernel cannot translate IPv6: published ports are served over IPv6 in user space',
    );
    return 'ip';
  }
}

async function limitsProblemOf(nft: Nft, logger: Logger): Promise<string | undefined> {
  try {
    await nft.run(PROBE_LIMITS);
    return undefined;
  } catch (error) {
    logger.warn({ err: error }, 'the kernel cannot limit clients of published ports');
    return 'it limits its clients, which the kernel of this node cannot: load nft_limit and nft_connlimit, then restart the daemon';
  }
}
