/**
 * How many problems of one kind to keep. Further ones are only counted, because the first says what is
 * wrong.
 */
const SAME_LIMIT = 2;
const KINDS_LIMIT = 40;

/** Broken promises, by kind. */
export class Problems {
  readonly #texts: string[] = [];
  readonly #counts = new Map<string, number>();
  readonly #onProblem: (text: string) => void;

  constructor(onProblem: (text: string) => void) {
    this.#onProblem = onProblem;
  }

  add(text: string): void {
    const kind = kindOf(text);
    const count = (this.#counts.get(kind) ?? 0) + 1;
    if (count === 1 && this.#counts.size >= KINDS_LIMIT) return;
    this.#counts.set(kind, count);
    if (count > SAME_LIMIT) return;
    this.#texts.push(text);
    this.#onProblem(text);
  }

  get all(): readonly string[] {
    return this.#texts;
  }

  /** How often each kind occurred. */
  get counts(): readonly (readonly [string, number])[] {
    return [...this.#counts];
  }
}

/** The first line, without ids, numbers and quotes. */
function kindOf(text: string): string {
  const [first = ''] = text.split('\n');
  return first
    .replace(/"[^"]*"/g, '"…"')
    .replace(/\b[0-9a-z]{25}\b/g, '<id>')
    .replace(/\d+(\.\d+)*/g, '0')
    .slice(0, 160);
}
