import type { TermLog } from './term-log.js';
import { rule } from './violation.js';

/** What the group has committed: the term of each entry, for ever (paper, State Machine Safety). */
export class CommittedLog {
  private readonly terms: (number | undefined)[] = [0];

  get last(): number {
    return this.terms.length - 1;
  }

  /** Reports whether everything up to `commit` is committed with these entries, as far as known. */
  covers(log: TermLog, commit: number): boolean {
    if (commit > this.last || commit > log.last) return false;
    const term = this.terms[commit];
    return term === undefined || log.has(commit, term);
  }

  /**
   * Records that a member treats entries as committed. @param decides whether it may be the first
   */
  grow(log: TermLog, from: number, to: number, decides: boolean): void {
    rule(to <= log.last, () => `its log ends at ${log.last} and it commits ${to}`);
    for (let index = from + 1; index <= to; index++) {
      const term = log.at(index);
      if (index > this.last) {
        rule(decides, () => `nobody has committed entry ${index}`);
        this.terms.push(term);
      }
      const known = this.terms[index];
      this.terms[index] = known ?? term;
      rule(known === undefined || term === undefined || known === term, () => {
        return `entry ${index} is committed with term ${known}, and with ${term} here`;
      });
    }
  }

  /** Leader Completeness. */
  requireIn(log: TermLog): void {
    for (let index = 1; index <= this.last; index++) {
      const term = this.terms[index];
      rule(index <= log.last && (term === undefined || log.has(index, term)), () => {
        return `it lacks entry ${index} of term ${term}, which is committed`;
      });
    }
  }
}
