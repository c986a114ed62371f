import { createServer } from 'node:net';
import { SHARED_PORT_FIRST as FIRST_PORT, SHARED_PORT_LAST as LAST_PORT } from '@swarm/api';
import { RuntimeError } from '../runtime-error.js';

/** Hands out ports of the host that nobody listens on. */
export class PortPool {
  readonly #taken = new Set<number>();
  #next: number;

  /** @param random 0 ≤ x < 1; spreads several daemons of one host over the range */
  constructor(random: () => number) {
    this.#next = FIRST_PORT + Math.floor(random() * (LAST_PORT - FIRST_PORT + 1));
  }

  /** Reserves a free port until it is released. Tests TCP; assumes that UDP of the same number is free. */
  async take(): Promise<number> {
    for (let tried = FIRST_PORT; tried <= LAST_PORT; tried += 1) {
      const port = this.#next;
      this.#next = port === LAST_PORT ? FIRST_PORT : port + 1;
      if (this.#taken.has(port)) continue;
      this.#taken.add(port);
      if (await isFree(port)) return port;
      this.#taken.delete(port);
    }
    throw new RuntimeError(
      'failed',
      `All ports from ${FIRST_PORT} to ${LAST_PORT} of this host are in use; stop other tasks or programs.`,
    );
  }

  /** Reserves a port of an adopted task. */
  keep(port: number): void {
    this.#taken.add(port);
  }

  release(port: number): void {
    this.#taken.delete(port);
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(false));
    server.listen({ port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
