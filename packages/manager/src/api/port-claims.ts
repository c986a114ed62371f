import type { Service, ServiceSpec } from '@swarm/api';

/** What a service is going to publish, in the shape in which conflicts are looked for. */
type Claim = Pick<Service, 'ID' | 'Spec' | 'Endpoint'>;

/**
 * Ports of services that are on their way through the log. All writes go through the leader's API, and the
 * store does not know them before they are applied: without this, two requests that come at once would
 * both be told that they have the port.
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
