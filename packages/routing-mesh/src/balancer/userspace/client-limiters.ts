import type { PortKey } from '@swarm/api';
import type { PortRefusals } from '../load-balancer.js';
import { ClientLimiter } from './client-limiter.js';

/** The limiters of published ports, which outlive the proxies that use them. */
export class ClientLimiters {
  readonly #limiters = new Map<PortKey, ClientLimiter>();

  of(port: PortKey): ClientLimiter {
    let limiter = this.#limiters.get(port);
    if (limiter === undefined) {
      limiter = new ClientLimiter();
      this.#limiters.set(port, limiter);
    }
    return limiter;
  }

  delete(port: PortKey): void {
    this.#limiters.delete(port);
  }

  /** What they refused since the last look. */
  look(): readonly PortRefusals[] {
    return [...this.#limiters].flatMap(([port, limiter]) => {
      const refused = limiter.takeRefused();
      return refused === undefined ? [] : [{ port, ...refused }];
    });
  }
}
