import type { MemberInfo } from '@swarm/raft';

/** Managers remembered; a larger group would never agree in time. */
const MANAGERS_LIMIT = 64;

interface Claim {
  readonly address: string;
  /** Whether to dial it before the address in the group's configuration. */
  isFirst: boolean;
}

/**
 * Where managers say they are, while the group's configuration does not know it yet: a group whose members
 * moved must reach a majority before it can write their new addresses. A wrong address costs attempts and
 * nothing else, because who dials it accepts only the certificate of the manager it looks for.
 */
export class MovedManagers {
  readonly #claims = new Map<string, Claim>();

  /** Takes an address that the manager itself claims, or at which it has answered. */
  note(nodeId: string, address: string): void {
    if (this.#claims.get(nodeId)?.address === address) return;
    this.#claims.delete(nodeId);
    // Those that left long ago go first.
    const [oldest] = this.#claims.keys();
    if (this.#claims.size >= MANAGERS_LIMIT && oldest !== undefined) this.#claims.delete(oldest);
    this.#claims.set(nodeId, { address, isFirst: true });
  }

  /** Takes an address that another manager knows, which counts less. */
  hear(nodeId: string, address: string): void {
    if (!this.#claims.has(nodeId) && this.#claims.size < MANAGERS_LIMIT) this.note(nodeId, address);
  }

  /** Addresses at which a member may answer, the likeliest first. */
  addressesOf({ nodeId, address }: Pick<MemberInfo, 'nodeId' | 'address'>): readonly string[] {
    const claim = this.#claims.get(nodeId);
    if (claim === undefined || claim.address === address) return [address];
    return claim.isFirst ? [claim.address, address] : [address, claim.address];
  }

  /** The member did not answer at this address: the other one is next. */
  failed(nodeId: string, address: string): void {
    const claim = this.#claims.get(nodeId);
    if (claim !== undefined) claim.isFirst = claim.address !== address;
  }
}
