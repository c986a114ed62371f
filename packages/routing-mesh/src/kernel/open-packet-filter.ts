import type { Logger } from '@swarm/api';
import type { Kernel } from './kernel.js';
import type { Nft } from './nft.js';

/** A table made and deleted within one transaction: nobody ever sees it. */
const PROBE = `add table ip swarm_probe
add chain ip swarm_probe c { type nat hook prerouting priority -100; }
add map ip swarm_probe m { type mark : ipv4_addr . inet_service; }
add rule ip swarm_probe c meta l4proto tcp dnat ip addr . port to ct mark map @m
delete table ip swarm_probe
`;

/** Opens the fastest way into the kernel's packet filter that works, or says why none works. */
export async function openPacketFilter(
  kernel: Kernel,
  logger: Logger,
): Promise<{ readonly nft: Nft } | { readonly reason: string }> {
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
      return { nft };
    } catch (error) {
      nft?.close();
      reason = error instanceof Error ? error.message : String(error);
      logger.debug({ err: error }, 'one way into nftables does not work');
    }
  }
  return { reason };
}
