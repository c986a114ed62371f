import { isDeepStrictEqual } from 'node:util';
import type { Clock, Logger, SerialQueue, Timer } from '@swarm/api';
import type { NodeFiles } from '../files/node-files.js';
import type { LocalState } from '../files/local-state.js';
import { type AddressesNow, addressesNow } from './address-origins.js';
import { hostOf, isBindable, localAddressTowards } from './addresses.js';
import type { MemberHost } from './member-host.js';

/** How often the addresses of the host are looked at; that reads a table of the kernel. */
const LOOK_MS = 5_000;
/** How long an address must be gone before the node takes the only one that is left. */
export const GONE_FOR_MS = 10_000;
/** Managers towards which a route is looked for. */
const ROUTES_LIMIT = 16;

/** What a host says about its addresses. */
export interface HostAddresses extends Pick<MemberHost, 'networkInterfaces'> {
  /** Whether the host has the address, even on an interface that is not listed. */
  hasAddress(address: string): Promise<boolean>;
  /** Source address of packets to `host:port`; empty when there is no route. */
  sourceTowards(manager: string): Promise<string>;
}

/** The host's addresses, as its kernel has them. */
export function hostAddresses({
  networkInterfaces,
}: Pick<MemberHost, 'networkInterfaces'>): HostAddresses {
  return { networkInterfaces, hasAddress: isBindable, sourceTowards: localAddressTowards };
}

export interface AddressKeeperOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly files: NodeFiles;
  readonly host: HostAddresses;
  /** Looks run one after the other with all other changes of membership. */
  readonly changes: SerialQueue;
  /** Where the other managers are, `host:port`. */
  readonly others: () => readonly string[];
  /** Takes part with these addresses from now on, and saves them. */
  readonly moved: (state: LocalState) => Promise<void>;
}

/** Keeps a node's addresses those that its host has. */
export class AddressKeeper {
  readonly #options: AddressKeeperOptions;
  #problem = '';
  #goneSinceMs: number | undefined;
  #timer: Timer;
  #isWatching = false;

  constructor(options: AddressKeeperOptions) {
    this.#options = options;
  }

  /** What is wrong with the addresses, and what to run; empty when all is well. */
  get problem(): string {
    return this.#problem;
  }

  /**
   * Returns the node's state with the addresses that the host has now. An address is not looked for before it
   * was gone for two looks, except at the start: a host that renews it may be without it for a moment.
   */
  async look(isStart = false): Promise<LocalState | undefined> {
    const { files, clock, host, others } = this.#options;
    const { state } = files;
    if (state === undefined) return undefined;
    const interfaces = host.networkInterfaces();
    const quick = addressesNow(state, { interfaces, towards: '', isSettled: false });
    if (quick.problem === '') return this.#found(quick);
    const own = [state.listen.host, hostOf(state.advertiseAddress), state.dataPathAddress];
    const silent = new Set<string>();
    for (const address of own) if (await host.hasAddress(address)) silent.add(address);
    const before = addressesNow(state, { interfaces, silent, towards: '', isSettled: false });
    if (before.problem === '') return this.#found(before);
    const sinceMs = this.#goneSinceMs;
    this.#goneSinceMs ??= clock.monotonicMs();
    if (sinceMs === undefined && !isStart) return state;
    const isSettled = sinceMs !== undefined && clock.monotonicMs() - sinceMs >= GONE_FOR_MS;
    const towards = await this.#sourceTowards(others());
    return this.#found(addressesNow(state, { interfaces, silent, towards, isSettled }));
  }

  /** Looks again and again, and moves the node when its addresses change. */
  watch(): void {
    this.#isWatching = true;
    this.#schedule();
  }

  /** The node leaves, or the process ends. */
  stop(): void {
    this.#isWatching = false;
    this.#options.clock.clearTimeout(this.#timer);
    this.#problem = '';
    this.#goneSinceMs = undefined;
  }

  #schedule(): void {
    const { clock, changes, logger } = this.#options;
    clock.clearTimeout(this.#timer);
    if (!this.#isWatching) return;
    this.#timer = clock.setTimeout(() => {
      changes
        .run(() => this.#follow())
        .catch((error: unknown) =>
          logger.error({ err: error }, 'the node could not take its new address'),
        )
        .finally(() => this.#schedule());
    }, LOOK_MS);
  }

  async #follow(): Promise<void> {
    if (!this.#isWatching) return;
    const next = await this.look();
    if (next !== undefined && !isDeepStrictEqual(next, this.#options.files.state))
      await this.#options.moved(next);
  }

  #found({ state, problem }: AddressesNow): LocalState {
    if (problem === '') this.#goneSinceMs = undefined;
    else if (problem !== this.#problem)
      this.#options.logger.warn({ problem }, 'the host does not have an address of this node');
    this.#problem = problem;
    return state;
  }

  async #sourceTowards(managers: readonly string[]): Promise<string> {
    for (const manager of managers.slice(0, ROUTES_LIMIT)) {
      const source = await this.#options.host.sourceTowards(manager);
      if (source !== '') return source;
    }
    return '';
  }
}
