/** The text is not one that our tables contain: the tracer would have to guess what it does. */
export class UnknownNftTextError extends Error {
  override readonly name = 'UnknownNftTextError';

  constructor(what: string, text: string) {
    super(`the tracer does not know ${what}: ${text}`);
  }
}

/** Words of one statement, read from the left. */
export class NftTokens {
  readonly #text: string;
  readonly #words: readonly string[];
  #at = 0;

  constructor(text: string) {
    this.#text = text;
    this.#words = text.match(/"[^"]*"|[{}]|[^\s{}]*[^\s{},]/g) ?? [];
  }

  get isAtEnd(): boolean {
    return this.#at === this.#words.length;
  }

  peek(ahead = 0): string | undefined {
    return this.#words[this.#at + ahead];
  }

  next(what = 'a statement that ends here'): string {
    const word = this.#words[this.#at];
    if (word === undefined) throw this.unknown(what);
    this.#at++;
    return word;
  }

  /** Takes these words if they come next. */
  take(...words: readonly string[]): boolean {
    if (!words.every((word, i) => this.peek(i) === word)) return false;
    this.#at += words.length;
    return true;
  }

  expect(...words: readonly string[]): void {
    if (!this.take(...words)) throw this.unknown(`what stands instead of "${words.join(' ')}"`);
  }

  unknown(what: string): UnknownNftTextError {
    return new UnknownNftTextError(`${what} (at "${this.peek() ?? 'the end'}")`, this.#text.trim());
  }
}
