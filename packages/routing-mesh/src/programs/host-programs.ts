import type { IpAddress, PortKey } from '@swarm/api';

/** Looks for programs of this host that have ports which the mesh should serve. */
export interface HostPrograms {
  /**
   * Says who has which of these ports, as the end of a sentence. A program that listens on loopback addresses
   * alone is in nobody's way: packets to those are never translated.
   * @param isHeld whether the mesh itself listens on the port at the address
   */
  find(
    ports: ReadonlySet<PortKey>,
    isHeld: (port: PortKey, address: IpAddress) => boolean,
  ): Promise<ReadonlyMap<PortKey, string>>;
}

/** Where each port is a socket of this process, the kernel itself says who has it. */
export const noHostPrograms: HostPrograms = { find: async () => new Map() };
