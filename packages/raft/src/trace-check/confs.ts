import type { Conf } from './member-state.js';
import { rule } from './violation.js';

/**
 * The configurations of a group: the same after the same entry on each member (thesis §4.1, §4.3).
 */
export class Confs {
  private readonly known = new Map<number, string>();

  apply(index: number, before: Conf, after: Conf): void {
    const told = JSON.stringify(after);
    const known = this.known.get(index);
    rule(known === undefined || known === told, () => {
      return `after entry ${index} it counts with ${told}, others with ${known}`;
    });
    this.known.set(index, told);
    rule(isStep(before, after), () => `no one change leads from ${JSON.stringify(before)}`);
  }

  checkSnapshot(index: number, conf: Conf): void {
    const last = Math.max(0, ...[...this.known.keys()].filter((each) => each <= index));
    const known = this.known.get(last);
    const told = JSON.stringify(conf);
    rule(known === undefined || known === told, () => {
      return `a snapshot of entry ${index} has ${told}, the group ${known}`;
    });
  }
}

function isStep([voters, outgoing]: Conf, [next, nextOutgoing]: Conf): boolean {
  const added = next.filter((id) => !voters.includes(id)).length;
  const gone = voters.filter((id) => !next.includes(id)).length;
  const isSame = added + gone === 0;
  // A change without effect, or one that leaves the joint configuration.
  if (outgoing.length > 0) {
    return isSame && (nextOutgoing.length === 0 || equal(outgoing, nextOutgoing));
  }
  if (nextOutgoing.length > 0) return equal(nextOutgoing, voters);
  return voters.length === 0 || added + gone <= 1;
}

function equal(one: readonly string[], other: readonly string[]): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
