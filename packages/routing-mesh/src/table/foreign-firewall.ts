import { type Logger, showControls } from '@swarm/api';
import type { RunCommand } from '../kernel/command.js';
import { TABLE } from '../layout.js';

interface ChainListing {
  readonly chain?: {
    readonly table: string;
    readonly family: string;
    readonly name: string;
    readonly hook?: string;
    readonly policy?: string;
  };
}

/**
 * Warns when another firewall of this host drops what it does not know: a packet must pass every table, and we
 * never change anyone else's. Docker, for instance, sets its forward chain's policy to drop.
 */
export async function warnOfForeignDrops(run: RunCommand, logger: Logger): Promise<void> {
  let listing: string;
  try {
    listing = await run('nft', ['-j', 'list', 'chains']);
  } catch (error) {
    logger.debug({ err: error }, 'could not list other firewalls');
    return;
  }
  const { nftables } = JSON.parse(listing) as { nftables: ChainListing[] };
  for (const { chain } of nftables) {
    if (chain?.policy !== 'drop' || chain.table === TABLE) continue;
    if (chain.family !== 'ip' && chain.family !== 'inet') continue;
    if (chain.hook !== 'forward' && chain.hook !== 'input') continue;
    logger.warn(
      {
        table: showControls(`${chain.family} ${chain.table}`),
        chain: showControls(chain.name),
        hook: chain.hook,
      },
      chain.hook === 'forward'
        ? 'another firewall drops forwarded packets by default: let it accept the ingress network and the subnets of overlay networks, both as source and destination'
        : 'another firewall drops incoming packets by default: let it accept the data path port (UDP) from the other nodes',
    );
  }
}
