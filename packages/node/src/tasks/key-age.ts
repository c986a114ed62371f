import type { Clock, Logger, Timer } from '@swarm/api';
import type { Mesh } from '@swarm/routing-mesh';
import { openTunnelKey } from '../files/tunnel-key.js';

/** How often a running daemon looks how old its key is. */
const CHECK_MS = 60 * 60 * 1000;

export interface KeyAgeOptions {
  readonly mesh: Pick<Mesh, 'encryption' | 'changeKeys'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Has the file with the key. */
  readonly folder: string;
}

/** Gives a node another key for encrypted networks when its own is old. */
export class KeyAge {
  readonly #options: KeyAgeOptions;
  #timer: Timer;

  constructor(options: KeyAgeOptions) {
    this.#options = options;
    this.#schedule();
  }

  close(): void {
    this.#options.clock.clearTimeout(this.#timer);
  }

  #schedule(): void {
    const { clock, logger } = this.#options;
    this.#timer = clock.setTimeout(() => {
      this.#schedule();
      this.#check().catch((error: unknown) =>
        logger.error({ err: error }, 'could not change the key for encrypted networks'),
      );
    }, CHECK_MS);
  }

  async #check(): Promise<void> {
    const { mesh, clock, logger, folder } = this.#options;
    const known = mesh.encryption?.publicKey;
    if (known === undefined) return;
    const keys = await openTunnelKey(folder, clock.now(), logger);
    if (keys.publicKey !== known) await mesh.changeKeys(keys);
  }
}
