import { type Entry, EntryKind, type Index, type MemberId } from '@swarm/raft';
import { decodeCommand, Violation } from '@swarm/sim';

/**
 * Paper §5.4.3, figure 3: no two members apply different entries at an index. Compares a
 * fingerprint of all entries up to there, so that a wrong snapshot shows too. Also, no proposal is
 * applied twice.
 */
export class StateMachineSafety {
  readonly #chains = new Map<Index, string>();
  readonly #proposals = new Map<number, Index>();

  applied(id: MemberId, entry: Entry, chain: string): void {
    const known = this.#chains.get(entry.index);
    if (known !== undefined) {
      this.#same(id, entry.index, chain, known);
      return;
    }
    this.#chains.set(entry.index, chain);
    if (entry.kind !== EntryKind.Normal || entry.data.length === 0) return;
    const proposal = decodeCommand(entry.data).id;
    const before = this.#proposals.get(proposal);
    if (before !== undefined) {
      throw new Violation(
        'state machine safety',
        `proposal ${proposal} is applied at ${before} and at ${entry.index}`,
      );
    }
    this.#proposals.set(proposal, entry.index);
  }

  restored(id: MemberId, index: Index, chain: string): void {
    this.#same(id, index, chain, this.#chains.get(index));
  }

  #same(id: MemberId, index: Index, chain: string, known: string | undefined): void {
    if (chain === known) return;
    throw new Violation('state machine safety', `the state of ${id} at ${index} differs`);
  }
}
