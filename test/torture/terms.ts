import type { TortureProblems } from './problems.js';

/** One leader per term. A restarted member is another one (paper §5.2, election safety). */
export class Terms {
  private readonly leaders = new Map<number, string>();
  private readonly problems: TortureProblems;

  constructor(problems: TortureProblems) {
    this.problems = problems;
  }

  /** The number of terms that had a leader. */
  get count(): number {
    return this.leaders.size;
  }

  /** @param who a member in one run */
  led(term: number, who: string): void {
    const known = this.leaders.get(term);
    if (known !== undefined && known !== who) {
      this.problems.add(`term ${term} had two leaders, ${known} and ${who}`);
    }
    this.leaders.set(term, who);
  }
}
