import type { PortKey, Service, ServiceSpec } from '@swarm/api';
import { portKeysOf } from '../store/object-keys.js';

/** What a service is about to publish, in the shape that the search for conflicts takes. */
type Claim = Pick<Service, 'ID' | 'Spec' | 'Endpoint'>;

/**
 * Ports of services that are on their way through the log. All writes go through the leader's API, and the
 * store does not know them before they are applied. Without this, two requests at once would both get the
 * same port.
 */
export class PortClaims {
  readonly #claims = new Map<PortKey, Set<Claim>>();

  /** Claims what the spec publishes. @returns ends the claim; calling that twice does no harm */
  take(serviceId: string, spec: ServiceSpec): () => void {
    const claim: Claim = { ID: serviceId, Spec: spec, Endpoint: { Spec: {} } };
    const keys = portKeysOf(claim);
    for (const key of keys) this.#add(key, claim);
    return () => {
      for (const key of keys) this.#drop(key, claim);
    };
  }

  byPort(key: PortKey): Iterable<Claim> {
    return this.#claims.get(key) ?? [];
  }

  #add(key: PortKey, claim: Claim): void {
    const claims = this.#claims.get(key);
    if (claims === undefined) this.#claims.set(key, new Set([claim]));
    else claims.add(claim);
  }

  #drop(key: PortKey, claim: Claim): void {
    const claims = this.#claims.get(key);
    claims?.delete(claim);
    if (claims?.size === 0) this.#claims.delete(key);
  }
}
