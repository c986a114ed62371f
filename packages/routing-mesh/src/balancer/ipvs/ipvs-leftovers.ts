import type { Logger } from '@swarm/api';
import type { Kernel } from '../../kernel/kernel.js';
import type { TableFamily } from '../../layout.js';
import { IpvsServices } from './ipvs-services.js';
import { IpvsSettings, rememberedSettings, type SettingValues } from './ipvs-settings.js';
import { IpvsSocket } from './ipvs-socket.js';
import { isOurMark } from './marks.js';

/** Exists while the module is loaded; asking IPVS itself would load it. */
const LISTING = '/proc/net/ip_vs';

/**
 * What an earlier process with IPVS left, when this one balances without. Its services get no new connections any
 * more; those that they have go on, and what has none is removed.
 */
export class IpvsLeftovers {
  readonly #socket: IpvsSocket;
  readonly #services: IpvsServices;
  readonly #settings: IpvsSettings;
  readonly #before: SettingValues;
  readonly #logger: Logger;
  #isFollowed = false;
  #isDone = false;

  private constructor(kernel: Kernel, socket: IpvsSocket, before: SettingValues, logger: Logger) {
    this.#socket = socket;
    this.#services = new IpvsServices(socket, { hasIpv6: true });
    this.#settings = new IpvsSettings(kernel, socket);
    this.#before = before;
    this.#logger = logger;
  }

  /** Before the table of the earlier process is replaced. Undefined when there is nothing. */
  static async find(
    kernel: Kernel,
    family: TableFamily,
    logger: Logger,
  ): Promise<IpvsLeftovers | undefined> {
    const listing = await kernel.readFile(LISTING);
    if (listing === undefined) return undefined;
    let before: SettingValues = new Map();
    try {
      before = await rememberedSettings(kernel.run, family);
    } catch {
      // There is no such table: this is how it mostly is.
    }
    const marks = [...listing.matchAll(/^FWM +([0-9A-F]{8}) /gm)].map(([, hex]) => `0x${hex}`);
    if (before.size === 0 && !marks.some((mark) => isOurMark(Number(mark)))) return undefined;
    try {
      return new IpvsLeftovers(kernel, await IpvsSocket.attach(kernel), before, logger);
    } catch (error) {
      logger.warn(
        { err: error },
        'could not open IPVS to remove the services of an earlier process',
      );
      return undefined;
    }
  }

  /** Removes what has no connections; the settings when nothing is left. Failures are tried again. */
  async drain(): Promise<void> {
    if (this.#isDone) return;
    try {
      if (!this.#isFollowed) this.#services.follow([], () => false, false);
      this.#isFollowed = true;
      this.#services.repair();
      if (this.#socket.services().length > 0) return;
      await this.#settings.restore(this.#before);
      this.#logger.info({}, 'the IPVS services of an earlier process are gone');
      this.close();
    } catch (error) {
      this.#logger.warn({ err: error }, 'could not remove the IPVS services of an earlier process');
    }
  }

  close(): void {
    if (!this.#isDone) this.#socket.close();
    this.#isDone = true;
  }
}
