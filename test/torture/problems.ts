/** The most problems kept: the first says what is wrong. */
const PROBLEMS_LIMIT = 20;

/** Violations of what the members guarantee. */
export class TortureProblems {
  private readonly texts: string[] = [];
  private readonly onProblem: (text: string) => void;

  constructor(onProblem: (text: string) => void) {
    this.onProblem = onProblem;
  }

  add(text: string): void {
    if (this.texts.length >= PROBLEMS_LIMIT) return;
    this.texts.push(text);
    this.onProblem(text);
  }

  get all(): readonly string[] {
    return this.texts;
  }
}
