import { parseCidr } from './address.js';
import { DEFAULT_DATA_PATH_PORT, DEFAULT_INGRESS_NETWORK } from './layout.js';
import type { Mesh, MeshOptions } from './mesh.js';

const DEFAULT_UDP_IDLE_MS = 60_000;
/** Ports a tunnel may use, as Docker's `--data-path-port`. */
const DATA_PATH_PORT_MIN = 1024;
const DATA_PATH_PORT_MAX = 49_151;

/**
 * Chooses a backend and makes the mesh; nothing of the host changes before `start`.
 * @throws when `nftables` is asked for and can not work; the message says why
 * @example const mesh = await createMesh({ backend: 'auto', logger, clock });
 */
export async function createMesh(options: MeshOptions): Promise<Mesh> {
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
  const network = options.ingressNetwork ?? DEFAULT_INGRESS_NETWORK;
  const ingressNetwork = parseCidr(network);
  if (ingressNetwork === undefined) {
    throw new RangeError(`"${network}" is no IPv4 network; write it as 10.240.0.0/12`);
  }
  if (options.backend !== 'userspace') {
    const { probeNftables } = await import('./kernel/probe.js');
    const probe = await probeNftables(options.logger);
    if ('nft' in probe) {
      const [{ NftablesMesh }, { LoopbackListeners }, { runCommand }] = await Promise.all([
        import('./nftables/nftables-mesh.js'),
        import('./userspace/loopback-listeners.js'),
        import('./kernel/command.js'),
      ]);
      const { clock, logger } = options;
      return new NftablesMesh({
        nft: probe.nft,
        run: runCommand,
        loopback: new LoopbackListeners({
          clock,
          logger,
          random: Math.random,
          udpIdleMs: options.udpIdleMs ?? DEFAULT_UDP_IDLE_MS,
        }),
        dataPathPort,
        ingressNetwork,
        ...(options.checkIntervalMs === undefined
          ? {}
          : { checkIntervalMs: options.checkIntervalMs }),
        logger,
        clock,
      });
    }
    if (options.backend === 'nftables') {
      throw new Error(`the nftables mesh can not work here: ${probe.reason}`);
    }
    options.logger.warn({ reason: probe.reason }, 'no nftables: the mesh runs in user space');
  }
  const { UserspaceMesh } = await import('./userspace/userspace-mesh.js');
  return new UserspaceMesh({
    bindAddresses: options.bindAddresses ?? ['0.0.0.0', '::'],
    udpIdleMs: options.udpIdleMs ?? DEFAULT_UDP_IDLE_MS,
    ingressNetwork,
    logger: options.logger,
    clock: options.clock,
    random: Math.random,
  });
}
