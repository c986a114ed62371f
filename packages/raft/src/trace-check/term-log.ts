import type { TraceTerms } from '../trace.js';

/**
 * A log as the specification has it: the term of each entry. Entries covered by a snapshot may have
 * terms that the trace does not show.
 */
export class TermLog {
  /** By index; the one at 0 stands before the log. */
  private terms: (number | undefined)[] = [0];

  static of({ start, runs, last }: TraceTerms): TermLog {
    const log = new TermLog();
    log.reset(start.index, start.term);
    for (const [i, [first, term]] of runs.entries()) {
      const end = runs[i + 1]?.[0] ?? last + 1;
      for (let index = first; index < end; index++) log.terms[index] = term;
    }
    return log;
  }

  get last(): number {
    return this.terms.length - 1;
  }

  get lastTerm(): number {
    return this.at(this.last) ?? 0;
  }

  /** Undefined: not known, or beyond the end. */
  at(index: number): number | undefined {
    return this.terms[index];
  }

  /** Reports whether there is such an entry; true if its term is not known. */
  has(index: number, term: number): boolean {
    if (index > this.last) return false;
    const known = this.at(index);
    return known === undefined || known === term;
  }

  /** Paper §5.4.1. */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.last);
  }

  append(count: number, term: number): void {
    for (let i = 0; i < count; i++) this.terms.push(term);
  }

  /** Keeps entries up to `index`, then appends. */
  replaceAfter(index: number, terms: readonly (number | undefined)[]): void {
    this.terms = [...this.terms.slice(0, index + 1), ...terms];
  }

  slice(after: number, count: number): readonly (number | undefined)[] {
    return this.terms.slice(after + 1, after + 1 + count);
  }

  /** Replaces the whole log with a snapshot. */
  reset(index: number, term: number): void {
    this.terms = [0];
    for (let i = 1; i < index; i++) this.terms.push(undefined);
    if (index > 0) this.terms.push(term);
  }

  copy(): TermLog {
    const log = new TermLog();
    log.terms = [...this.terms];
    return log;
  }
}
