/** What the transport needs from outside; any clock and logger of this shape will do. */

export interface TransportClock {
  /** Never goes back; milliseconds. */
  monotonicMs(): number;
  setTimeout(callback: () => void, delayMs: number): unknown;
  clearTimeout(timer: unknown): void;
  /** Runs after what is under way in this turn of the event loop. */
  setImmediate(callback: () => void): unknown;
}

export interface TransportLogger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface TransportEnvironment {
  readonly clock: TransportClock;
  /** From 0 up to, not including, 1: for jitter. */
  readonly random: () => number;
  readonly logger: TransportLogger;
}

/** Says a thing once, however often it happens: a peer set up wrongly must not fill the log. */
export class OnceLogger {
  private readonly logger: TransportLogger;
  private readonly said = new Set<string>();

  constructor(logger: TransportLogger) {
    this.logger = logger;
  }

  warn(fields: object, message: string): void {
    const key = JSON.stringify(fields) + message;
    if (this.said.has(key)) return;
    // Forgetting all when full repeats a line at worst.
    if (this.said.size >= SAID_LIMIT) this.said.clear();
    this.said.add(key);
    this.logger.warn(fields, message);
  }
}

const SAID_LIMIT = 1000;
