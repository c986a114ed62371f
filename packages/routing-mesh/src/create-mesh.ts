import { Subnet } from '@swarm/api';
import { subnetText } from './address.js';
import { openEncryption } from './encryption/open-encryption.js';
import { openPacketFilter } from './kernel/open-packet-filter.js';
import { DEFAULT_DATA_PATH_PORT, DEFAULT_INGRESS_NETWORK } from './layout.js';
import type { Mesh, MeshOptions } from './mesh.js';
import { nftablesParts, userspaceParts } from './mesh-parts.js';
import { NodeMesh } from './node-mesh.js';

const DEFAULT_CHECK_INTERVAL_MS = 15_000;
const DEFAULT_UDP_IDLE_MS = 60_000;
const DEFAULT_BIND_ADDRESSES = ['0.0.0.0', '::'];
/** Ports that the tunnel may use, as in Docker's `--data-path-port`. */
const DATA_PATH_PORT_MIN = 1024;
const DATA_PATH_PORT_MAX = 49_151;

/**
 * Chooses a backend and composes the mesh; changes nothing on the host before `start`.
 * @throws when `nftables` is requested and cannot work; the message says why
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
  const text = options.ingressNetwork ?? DEFAULT_INGRESS_NETWORK;
  const network = subnetText(Subnet.parse(text));
  if (network === undefined) {
    throw new RangeError(`"${text}" is not an IPv4 network; write it like 10.240.0.0/12`);
  }
  const udpIdleMs = options.udpIdleMs ?? DEFAULT_UDP_IDLE_MS;
  const bindAddresses = options.bindAddresses ?? DEFAULT_BIND_ADDRESSES;
  const made = { ...options, dataPathPort, ingressNetwork: network, udpIdleMs, bindAddresses };
  const common = { ingressNetwork: network, ownPorts: options.ownPorts, logger, clock };
  if (backend !== 'userspace') {
    const opened = await openPacketFilter(kernel, logger);
    if ('nft' in opened) {
      const checkIntervalMs = options.checkIntervalMs ?? DEFAULT_CHECK_INTERVAL_MS;
      const { nft, family } = opened;
      const encryption = await openEncryption({ ...made, ...options.encryption, nft });
      const parts = nftablesParts(made, opened, encryption);
      const hasIpv6 = family === 'inet';
      return new NodeMesh({ ...common, parts, hasIpv6, checkIntervalMs });
    }
    if (backend === 'nftables') {
      throw new Error(`the nftables mesh cannot work on this node: ${opened.reason}`);
    }
    logger.warn({ reason: opened.reason }, 'no nftables: the mesh runs in user space');
  }
  return new NodeMesh({ ...common, parts: userspaceParts(made), hasIpv6: false });
}
