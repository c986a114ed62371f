import type { Service, ServiceSpec } from '@swarm/api';

/** What a service is about to publish, in the shape that the search for conflicts takes. */
type Claim = Pick<Service, 'ID' | 'Spec' | 'Endpoint'>;

/**
 * Ports of services that are on their way through the log. All writes go through the leader's API, and the
 * store does not know them before they are applied. Without this, two requests at once would both get the
 * same port.
 */
export class PortClaims {
  readonly #claims = new Set<Claim>();

  /** Claims what the spec publishes. @returns ends the claim; calling that twice does no harm */
  take(serviceId: string, spec: ServiceSpec): () => void {
    const claim: Claim = { ID: serviceId, Spec: spec, Endpoint: { Spec: {} } };
    this.#claims.add(claim);
    return () => {
      this.#claims.delete(claim);
    };
  }

  list(): Iterable<Claim> {
    return this.#claims;
  }
}
