import type { Kernel } from '../../kernel/kernel.js';
import { NetlinkError, type NetlinkSocket } from '../../kernel/netlink.js';
import { IPVS_PROBE_MARK } from '../../layout.js';
import { familyId } from '../../netlink/generic.js';
import { NLM_F_DUMP } from '../../netlink/message.js';
import {
  deleteService,
  getTimeouts,
  IPVS_FAMILY,
  type IpvsTimeouts,
  listDestinations,
  type ListedDestination,
  type ListedService,
  listServices,
  type MarkedService,
  newService,
  readDestinations,
  readServices,
  readTimeouts,
  type Scheduler,
  setTimeouts,
} from '../../netlink/ipvs.js';
import { isOurMark } from './marks.js';

const SCHEDULERS: readonly Scheduler[] = ['wrr', 'mh'];

/** The kernel's IPVS in the network namespace of this process. Every call is answered within it. */
export class IpvsSocket {
  readonly #socket: NetlinkSocket;
  readonly #family: number;

  private constructor(socket: NetlinkSocket, family: number) {
    this.#socket = socket;
    this.#family = family;
  }

  /**
   * Opens a way into the kernel's IPVS, which loads its modules, and makes a service of each kind for a moment.
   * @param hasIpv6 whether ports are led over IPv6 too
   * @throws Error that says what is missing
   */
  static async open(kernel: Kernel, hasIpv6: boolean): Promise<IpvsSocket> {
    const opened = await IpvsSocket.attach(kernel);
    try {
      for (const version of hasIpv6 ? ([4, 6] as const) : ([4] as const)) {
        for (const scheduler of SCHEDULERS) opened.#probe(version, scheduler);
      }
      return opened;
    } catch (error) {
      opened.close();
      throw error;
    }
  }

  /**
   * The same without a look at what it can do.
   * @throws Error when there is no IPVS
   */
  static async attach(kernel: Kernel): Promise<IpvsSocket> {
    const socket = await kernel.openNetlink('generic');
    try {
      const family = familyId(socket, IPVS_FAMILY);
      if (family !== undefined) return new IpvsSocket(socket, family);
      throw new Error(
        'its kernel has no IPVS (module ip_vs): install the modules of its distribution, or a kernel that has it',
      );
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  #probe(version: 4 | 6, scheduler: Scheduler): void {
    const service = { version, mark: IPVS_PROBE_MARK };
    try {
      this.send(newService(service, scheduler));
      this.send(deleteService(service));
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      throw new Error(
        `its kernel refuses a service of IPv${version} with the scheduler ${scheduler} (module ip_vs_${scheduler}): ${error.message}`,
      );
    }
  }

  /** @throws NetlinkError when the kernel refuses */
  send(payload: Buffer): void {
    this.#socket.request({ type: this.#family, payload });
  }

  /** Our services, and how many there are of others that are known by a mark too. */
  services(): readonly ListedService[] {
    const payloads = this.#list(listServices());
    return readServices(payloads).filter(({ mark }) => isOurMark(mark));
  }

  /** Whether the host has services besides ours. */
  hasOthers(): boolean {
    const payloads = this.#list(listServices());
    return payloads.length > readServices(payloads).filter(({ mark }) => isOurMark(mark)).length;
  }

  /** None when there is no such service. */
  destinations(service: MarkedService): readonly ListedDestination[] {
    return readDestinations(this.#list(listDestinations(service)), service.version);
  }

  timeouts(): IpvsTimeouts | undefined {
    return readTimeouts(this.#socket.request({ type: this.#family, payload: getTimeouts() }));
  }

  setTimeouts(timeouts: IpvsTimeouts): void {
    this.send(setTimeouts(timeouts));
  }

  close(): void {
    this.#socket.close();
  }

  #list(payload: Buffer): readonly Buffer[] {
    return this.#socket.request({ type: this.#family, flags: NLM_F_DUMP, payload });
  }
}
