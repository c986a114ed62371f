/** A property that must hold did not. `invariant` is a stable name, which shrinking keeps. */
export class Violation extends Error {
  readonly invariant: string;

  constructor(invariant: string, what: string) {
    super(`${invariant}: ${what}`);
    this.invariant = invariant;
  }
}

export function require(condition: boolean, invariant: string, what: () => string): void {
  if (!condition) throw new Violation(invariant, what());
}
