import { type Clock, type Logger, WIREGUARD_PORT_OFFSET } from '@swarm/api';
import type { Kernel } from '../kernel/kernel.js';
import type { Nft } from '../kernel/nft.js';
import { ClearWall } from './clear-wall.js';
import { EncryptedTunnel } from './encrypted-tunnel.js';
import type { EncryptionMeans } from './encryption-means.js';
import { IpsecMeans } from './ipsec-means.js';
import type { TunnelKeyPair } from './keys.js';
import { noEncryption, type TrafficEncryption } from './traffic-encryption.js';
import { WireguardMeans } from './wireguard-means.js';

/** What a node needs to encrypt. */
export interface EncryptionOptions {
  readonly keys: TunnelKeyPair;
  /** Draws the name of an epoch that this node never had: letters and digits, at most 64. */
  readonly newEpoch: () => string;
}

export interface OpenEncryptionOptions extends Partial<EncryptionOptions> {
  readonly kernel: Kernel;
  readonly nft: Nft;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly dataPathPort: number;
}

/** Finds out by which means this node can encrypt, best first, and says precisely why by none. */
export async function openEncryption(options: OpenEncryptionOptions): Promise<TrafficEncryption> {
  const { keys, newEpoch, kernel, nft, logger, dataPathPort } = options;
  if (keys === undefined || newEpoch === undefined) return noEncryption('it has no key');
  const means: EncryptionMeans[] = [];
  const problems: string[] = [];
  for (const one of [
    new WireguardMeans({ kernel, logger, port: dataPathPort + WIREGUARD_PORT_OFFSET }),
    new IpsecMeans(options),
  ]) {
    const problem = await one.probe();
    if (problem === undefined) means.push(one);
    else problems.push(problem);
  }
  if (means.length === 0) {
    logger.info({ problems }, 'this node cannot carry encrypted networks');
    return noEncryption(problems.join('; '));
  }
  logger.debug(
    { means: means.map(({ name }) => name), problems },
    'encrypted networks are possible',
  );
  const hasIpsec = means.some(({ name }) => name === 'ipsec');
  const wall = new ClearWall({ kernel, nft, logger, hasIpsec });
  const epochs = await Promise.all(means.map((one) => one.earlierEpoch(keys)));
  const epoch = epochs.find((one) => one !== undefined) ?? newEpoch();
  return new EncryptedTunnel({ means, wall, keys, epoch, newEpoch, logger });
}
