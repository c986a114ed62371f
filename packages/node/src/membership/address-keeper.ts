import { isDeepStrictEqual } from 'node:util';
import type { Clock, Logger, SerialQueue, Timer } from '@swarm/api';
import type { NodeFiles } from '../files/node-files.js';
import type { LocalState } from '../files/local-state.js';
import { addressesNow } from './address-origins.js';
import { localAddressTowards } from './addresses.js';
import type { MemberHost } from './member-host.js';

/** How often the addresses of the host are looked at; that reads a table of the kernel. */
const LOOK_MS = 5_000;
/** How long an address must be gone before the node takes the only one that is left. */
export const GONE_FOR_MS = 10_000;
/** Managers towards which a route is looked for. */
const ROUTES_LIMIT = 16;

export interface AddressKeeperOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly files: NodeFiles;
  readonly networkInterfaces: MemberHost['networkInterfaces'];
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

  /** Returns the node's state with the addresses that the host has now. */
  async look(): Promise<LocalState | undefined> {
    const { files, clock, networkInterfaces, others } = this.#options;
    const state = files.state;
    if (state === undefined) return undefined;
    const interfaces = networkInterfaces();
    const goneForMs = this.#goneSinceMs === undefined ? 0 : clock.monotonicMs() - this.#goneSinceMs;
    const isSettled = goneForMs >= GONE_FOR_MS;
    let now = addressesNow(state, { interfaces, towards: '', isSettled: false });
    if (now.problem !== '') {
      const towards = await sourceTowards(others());
      now = addressesNow(state, { interfaces, towards, isSettled });
    }
    if (now.problem === '') this.#goneSinceMs = undefined;
    else this.#goneSinceMs ??= clock.monotonicMs();
    this.#say(now.problem);
    return now.state;
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

  #say(problem: string): void {
    if (problem !== '' && problem !== this.#problem)
      this.#options.logger.warn({ problem }, 'the host does not have an address of this node');
    this.#problem = problem;
  }
}

async function sourceTowards(managers: readonly string[]): Promise<string> {
  for (const manager of managers.slice(0, ROUTES_LIMIT)) {
    const source = await localAddressTowards(manager);
    if (source !== '') return source;
  }
  return '';
}
