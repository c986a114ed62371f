import type { ResolverOrder } from './resolver-orders.js';

/**
 * The process that answers the questions of a node's tasks. It outlives the daemon, so that names are served while
 * that restarts. `systemResolver` is the real one.
 */
export interface ResolverProcess {
  /**
   * Connects to the process.
   * @param mayStart starts one if none runs
   * @returns undefined if none runs
   * @throws when it does not answer, or cannot be started
   */
  open(options: { readonly mayStart: boolean }): Promise<ResolverConnection | undefined>;
  /** Ends the process by force; resolves when it is gone, and if none runs. */
  kill(): Promise<void>;
}

/** The only connection to the process: a later one takes its place. */
export interface ResolverConnection {
  /**
   * Sends an order; resolves when it is done.
   * @throws ResolverRefusal when the process could not do it; any other error when the connection is lost
   */
  order(order: ResolverOrder): Promise<void>;
  /** Calls the listener once when the connection ends, for whatever reason. */
  onEnd(listener: () => void): void;
  close(): void;
}

/** The resolver works, and could not do what it was told; the message says why. */
export class ResolverRefusal extends Error {
  override readonly name = 'ResolverRefusal';
}
