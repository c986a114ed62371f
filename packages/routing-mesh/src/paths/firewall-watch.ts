import {
  type Clock,
  type ForeignFirewall,
  type Logger,
  showControls,
  type Timer,
} from '@swarm/api';
import type { RunCommand } from '../kernel/command.js';
import { foreignFirewalls } from '../table/foreign-firewall.js';

/** How often to look: firewalls start after us, and are installed. */
const CHECK_MS = 60_000;
/** A listing of chains alone is short and quick, whatever the rules are. */
const LISTING_LIMITS = { timeoutMs: 5000, outputBytes: 1024 * 1024 };

export interface FirewallWatchOptions {
  readonly run: RunCommand;
  readonly clock: Clock;
  readonly logger: Logger;
  /** What it found has changed. */
  readonly changed: () => void;
}

/**
 * Looks for other firewalls of the host, when it starts and once a minute. Lists the heads of chains only: rules
 * of a newer nft can crash an older one, and sets may be large. Goes on with what it knows when that fails.
 */
export class FirewallWatch {
  readonly #options: FirewallWatchOptions;
  #found: readonly ForeignFirewall[] = [];
  #timer: Timer;
  #isClosed = false;

  constructor(options: FirewallWatchOptions) {
    this.#options = options;
  }

  get found(): readonly ForeignFirewall[] {
    return this.#found;
  }

  /** Looks now, and from now on. */
  start(): void {
    const { clock, logger } = this.#options;
    clock.clearTimeout(this.#timer);
    void this.#look()
      .catch((error: unknown) => logger.debug({ err: error }, 'could not look for other firewalls'))
      .finally(() => {
        if (!this.#isClosed) this.#timer = clock.setTimeout(() => this.start(), CHECK_MS);
      });
  }

  close(): void {
    this.#isClosed = true;
    this.#options.clock.clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    const { run, logger, changed } = this.#options;
    const listing = await run('nft', ['-j', 'list', 'chains'], '', LISTING_LIMITS);
    const found = foreignFirewalls(listing);
    if (found === undefined || this.#isClosed) return;
    const before = new Set(this.#found.map(textOf));
    if (found.length === before.size && found.every((one) => before.has(textOf(one)))) return;
    this.#found = found;
    for (const one of found) {
      if (before.has(textOf(one))) continue;
      const { Kind: kind, Table, Hooks: hooks } = one;
      logger.warn(
        { kind, table: showControls(Table), hooks },
        'another firewall of this host drops what it does not know; "swarm doctor" says what to let pass',
      );
    }
    changed();
  }
}

function textOf({ Kind, Table, Hooks }: ForeignFirewall): string {
  return [Kind, Table, ...Hooks].join('\n');
}
