import type { Clock, Logger } from '@swarm/api';
import type { LoadBalancer } from './balancer/load-balancer.js';
import { IpvsBalancer } from './balancer/ipvs/ipvs-balancer.js';
import { IpvsSection } from './balancer/ipvs/ipvs-section.js';
import { IpvsServices } from './balancer/ipvs/ipvs-services.js';
import { IpvsSettings } from './balancer/ipvs/ipvs-settings.js';
import type { IpvsSocket } from './balancer/ipvs/ipvs-socket.js';
import { DnatSection } from './balancer/nftables/dnat-section.js';
import { HostPortSection } from './balancer/nftables/host-port-section.js';
import { LimitSection } from './balancer/nftables/limit-section.js';
import { LoopbackListeners } from './balancer/nftables/loopback-listeners.js';
import {
  type Leftovers,
  NftablesBalancer,
  type PortSection,
} from './balancer/nftables/nftables-balancer.js';
import { UserspaceBalancer } from './balancer/userspace/userspace-balancer.js';
import { noEncryption, type TrafficEncryption } from './encryption/traffic-encryption.js';
import { type AccessGuard, NftablesGuard, noAccessGuard } from './guard/access-guard.js';
import { GuardSection } from './guard/guard-section.js';
import type { Kernel } from './kernel/kernel.js';
import type { OpenedFilter } from './kernel/open-packet-filter.js';
import type { Sockets } from './kernel/sockets.js';
import { IsolationSection } from './links/isolation-section.js';
import { SharedNetwork } from './links/shared-network.js';
import type { TaskLinks } from './links/task-links.js';
import { VethLinks } from './links/veth-links.js';
import type { MeshBackendName } from './mesh.js';
import { NftablesOverlays } from './overlay/nftables-overlays.js';
import { noOverlayNetworks, type OverlayNetworks } from './overlay/overlay-networks.js';
import { type Paths, noPaths } from './paths/paths.js';
import { ProbedPaths } from './paths/probed-paths.js';
import { ProbeSection } from './paths/probe-section.js';
import { VipSection } from './overlay/vip-section.js';
import { WallSection } from './overlay/wall-section.js';
import { ResolverNames } from './names/resolver-names.js';
import type { ResolverProcess } from './names/resolver-process.js';
import { noServiceNames, type ServiceNames, withoutNames } from './names/service-names.js';
import { ProcProbe } from './probe/proc-probe.js';
import { type HostPrograms, noHostPrograms } from './programs/host-programs.js';
import { ProcPrograms } from './programs/proc-programs.js';
import type { SocketProbe } from './probe/socket-probe.js';
import { IPV4, IPV6 } from './table/family.js';
import { MeshTable } from './table/mesh-table.js';
import type { TableSection } from './table/table-section.js';
import { noTransaction, type Transaction } from './table/transaction.js';
import { PeerSection } from './tunnel/peer-section.js';
import { noTunnel, type Tunnel } from './tunnel/tunnel.js';
import { VxlanTunnel } from './tunnel/vxlan-tunnel.js';

/** The parts of a mesh. */
export interface MeshParts {
  readonly backend: MeshBackendName;
  readonly tunnel: Tunnel;
  readonly paths: Paths;
  readonly links: TaskLinks;
  readonly balancer: LoadBalancer;
  readonly encryption: TrafficEncryption;
  readonly overlay: OverlayNetworks;
  readonly guard: AccessGuard;
  readonly names: ServiceNames;
  readonly probe: SocketProbe;
  readonly programs: HostPrograms;
  readonly transaction: Transaction;
  /** Why ports that limit their clients cannot be served; undefined if they can. */
  readonly limitsProblem?: string | undefined;
}

/** What the parts need. */
export interface PartOptions {
  readonly kernel: Kernel;
  readonly sockets: Sockets;
  readonly resolver?: ResolverProcess;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  readonly dataPathPort: number;
  readonly bindAddresses: readonly string[];
  readonly udpIdleMs: number;
}

/** Everything in the kernel's packet filter. */
export function nftablesParts(
  options: PartOptions,
  filter: OpenedFilter,
  encryption = noEncryption('it has no key'),
  leftovers?: Leftovers,
): MeshParts {
  const ports = new DnatSection();
  return kernelParts(options, filter, encryption, ports, leftovers).parts;
}

/** The same, but IPVS balances published ports. */
export function ipvsParts(
  options: PartOptions,
  filter: OpenedFilter,
  socket: IpvsSocket,
  encryption = noEncryption('it has no key'),
): MeshParts {
  const section = new IpvsSection();
  const { parts, table, common } = kernelParts(options, filter, encryption, section);
  const { kernel, logger } = options;
  const services = new IpvsServices(socket, { hasIpv6: filter.family === 'inet' });
  const settings = new IpvsSettings(kernel, socket);
  const own = { socket, services, settings, section, common, table };
  const balancer = new IpvsBalancer({ kernel, logger, ...own });
  return { ...parts, backend: 'ipvs', balancer };
}

function kernelParts(
  options: PartOptions,
  { nft, family, limitsProblem }: OpenedFilter,
  encryption: TrafficEncryption,
  ports: TableSection & PortSection,
  leftovers?: Leftovers,
): { parts: MeshParts; table: MeshTable; common: NftablesBalancer } {
  const { kernel, dataPathPort, logger, clock, resolver } = options;
  const hostPorts = new HostPortSection();
  const peers = new PeerSection();
  const limits = new LimitSection();
  const walls = new Map([IPV4, IPV6].map((family) => [family, new WallSection(family)]));
  const vips = new Map([IPV4, IPV6].map((family) => [family, new VipSection(family)]));
  const guards = new Map([IPV4, IPV6].map((family) => [family, new GuardSection(family)]));
  const table = new MeshTable({
    kernel,
    nft,
    // A host port takes precedence over a published one; packets for nobody are dropped last.
    sections: [
      hostPorts,
      peers,
      walls.get(IPV4)!,
      vips.get(IPV4)!,
      ports,
      limits,
      new ProbeSection(),
      new IsolationSection(),
      guards.get(IPV4)!,
    ],
    sectionsV6: [walls.get(IPV6)!, vips.get(IPV6)!, guards.get(IPV6)!],
    isV6Wanted: () => walls.get(IPV6)!.isWanted || guards.get(IPV6)!.isWanted,
    dataPathPort,
    family,
    logger,
  });
  const loopback = new LoopbackListeners(options);
  const hasIpv6 = family === 'inet';
  const common = new NftablesBalancer({
    ...{
      kernel,
      table,
      ports,
      hostPorts,
      limits,
      loopback,
      hasIpv6,
      logger,
      leftovers,
    },
  });
  const parts: MeshParts = {
    backend: 'nftables',
    tunnel: new VxlanTunnel({
      kernel,
      logger,
      clock,
      port: dataPathPort,
      section: peers,
      hasIpv6,
    }),
    paths: new ProbedPaths(options),
    links: new VethLinks({ kernel, logger }),
    balancer: common,
    encryption,
    overlay: new NftablesOverlays({ kernel, logger, walls, vips, encryption }),
    guard: new NftablesGuard({ run: kernel.run, logger, sections: guards, family }),
    names: resolver === undefined ? withoutNames : new ResolverNames({ resolver, clock, logger }),
    probe: new ProcProbe(kernel),
    programs: new ProcPrograms({ kernel, logger }),
    transaction: table,
    limitsProblem,
  };
  return { parts, table, common };
}

/** Everything in this process. */
export function userspaceParts(options: PartOptions): MeshParts {
  return {
    backend: 'userspace',
    tunnel: noTunnel,
    paths: noPaths,
    links: new SharedNetwork(),
    balancer: new UserspaceBalancer(options),
    encryption: noEncryption('it has no kernel networking'),
    overlay: noOverlayNetworks,
    guard: noAccessGuard,
    names: noServiceNames,
    probe: new ProcProbe(options.kernel),
    programs: noHostPrograms,
    transaction: noTransaction,
  };
}
