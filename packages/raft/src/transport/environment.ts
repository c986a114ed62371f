/** What the transport needs from outside. Any clock and logger of this shape will do. */

export interface TransportClock {
  /** Milliseconds; never goes back. */
  monotonicMs(): number;
  setTimeout(callback: () => void, delayMs: number): unknown;
  clearTimeout(timer: unknown): void;
  /** Runs the callback after what is under way in this turn of the event loop. */
  setImmediate(callback: () => void): unknown;
}

export interface TransportLogger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface TransportEnvironment {
  readonly clock: TransportClock;
  /** Uniform in [0, 1), for jitter. */
  readonly random: () => number;
  readonly logger: TransportLogger;
}

/** Logs each line once, however often it happens: a misconfigured peer must not fill the log. */
export class OnceLogger {
  private readonly logger: TransportLogger;
  private readonly said = new Set<string>();

  constructor(logger: TransportLogger) {
    this.logger = logger;
  }

  warn(fields: object, message: string): void {
    const key = JSON.stringify(fields) + message;
    if (this.said.has(key)) return;
    // Forgetting everything when full repeats a line at worst.
    if (this.said.size >= SAID_LIMIT) this.said.clear();
    this.said.add(key);
    this.logger.warn(fields, message);
  }
}

const SAID_LIMIT = 1000;
