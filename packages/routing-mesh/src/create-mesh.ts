import type { Logger } from '@swarm/api';
import { IpvsLeftovers } from './balancer/ipvs/ipvs-leftovers.js';
import { IpvsSocket } from './balancer/ipvs/ipvs-socket.js';
import { openEncryption } from './encryption/open-encryption.js';
import type { Kernel } from './kernel/kernel.js';
import { openPacketFilter } from './kernel/open-packet-filter.js';
import { DEFAULT_DATA_PATH_PORT } from './layout.js';
import type { Mesh, MeshOptions } from './mesh.js';
import { ipvsParts, nftablesParts, userspaceParts } from './mesh-parts.js';
import { NodeMesh } from './node-mesh.js';

const DEFAULT_CHECK_INTERVAL_MS = 15_000;
const DEFAULT_UDP_IDLE_MS = 60_000;
const DEFAULT_BIND_ADDRESSES = ['0.0.0.0', '::'];
/** Ports that the tunnel may use, as in Docker's `--data-path-port`. */
const DATA_PATH_PORT_MIN = 1024;
const DATA_PATH_PORT_MAX = 49_151;

/**
 * Chooses a backend and composes the mesh; changes nothing on the host before `start`.
 * @throws when `nftables` or `ipvs` is requested and cannot work; the message says why
 * @example
 * const mesh = await createMesh({
 *   backend: 'auto', kernel: systemKernel(), sockets: systemSockets(), random: Math.random, logger, clock,
 * });
 */
export async function createMesh(options: MeshOptions): Promise<Mesh> {
  const { backend, kernel, logger, clock } = options;
  const dataPathPort = options.dataPathPort ?? DEFAULT_DATA_PATH_PORT;
  if (
    !Number.isInteger(dataPathPort) ||
    dataPathPort < DATA_PATH_PORT_MIN ||
    dataPathPort > DATA_PATH_PORT_MAX
  ) {
    throw new RangeError(
      `data path port ${dataPathPort} is not within ${DATA_PATH_PORT_MIN} to ${DATA_PATH_PORT_MAX}`,
    );
  }
  const udpIdleMs = options.udpIdleMs ?? DEFAULT_UDP_IDLE_MS;
  const bindAddresses = options.bindAddresses ?? DEFAULT_BIND_ADDRESSES;
  const made = { ...options, dataPathPort, udpIdleMs, bindAddresses };
  const common = { ownPorts: options.ownPorts, logger, clock };
  if (backend !== 'userspace') {
    const opened = await openPacketFilter(kernel, logger);
    if ('nft' in opened) {
      const checkIntervalMs = options.checkIntervalMs ?? DEFAULT_CHECK_INTERVAL_MS;
      const { nft, family } = opened;
      const encryption = await openEncryption({ ...made, ...options.encryption, nft });
      const hasIpv6 = family === 'inet';
      const parts =
        backend === 'ipvs'
          ? ipvsParts(made, opened, await openIpvs(kernel, hasIpv6), encryption)
          : nftablesParts(
              ...([made, opened, encryption] as const),
              await IpvsLeftovers.find(kernel, family, logger),
            );
      return new NodeMesh({ ...common, parts, hasIpv6, checkIntervalMs });
    }
    if (backend !== 'auto') {
      throw new Error(`the ${backend} mesh cannot work on this node: ${opened.reason}`);
    }
    logger.warn({ reason: opened.reason }, 'no nftables: the mesh runs in user space');
  }
  return new NodeMesh({ ...common, parts: userspaceParts(made), hasIpv6: false });
}

/**
 * Why a backend cannot work on this host; undefined if it can. Changes nothing.
 * @returns the end of a sentence
 */
export async function meshProblem(
  backend: MeshOptions['backend'],
  kernel: Kernel,
  logger: Logger,
): Promise<string | undefined> {
  if (backend === 'auto' || backend === 'userspace') return undefined;
  const opened = await openPacketFilter(kernel, logger);
  if ('reason' in opened) return opened.reason;
  opened.nft.close();
  if (backend === 'nftables') return undefined;
  try {
    (await IpvsSocket.open(kernel, opened.family === 'inet')).close();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function openIpvs(kernel: Kernel, hasIpv6: boolean): Promise<IpvsSocket> {
  try {
    return await IpvsSocket.open(kernel, hasIpv6);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`the ipvs mesh cannot work on this node: ${reason}`, { cause: error });
  }
}
