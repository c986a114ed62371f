import type { Token } from './lexer.js';
import { placeOf, TemplateError } from './template-error.js';

/** Reads tokens one after another, and words what is wrong with them. */
export class TokenReader {
  readonly #source: string;
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(source: string, tokens: readonly Token[]) {
    this.#source = source;
    this.#tokens = tokens;
  }

  /** @throws {TemplateError} where no token matches the text */
  next(): Token {
    const token = this.peek();
    // The last one, `end`, stays.
    if (this.#at < this.#tokens.length - 1) this.#at += 1;
    return token;
  }

  /** @param ahead 0 is the token that `next` returns */
  peek(ahead = 0): Token {
    const token = this.#tokens[Math.min(this.#at + ahead, this.#tokens.length - 1)]!;
    if (token.kind === 'error' && ahead === 0) throw this.fault(token.text, token);
    return token;
  }

  /** Takes the `}}` of what is named. */
  close(of: string): void {
    const token = this.next();
    if (token.kind !== 'close') throw this.expected(`}} to close ${of}`, token);
  }

  isSign(text: string, ahead = 0): boolean {
    const { kind, text: given } = this.peek(ahead);
    return kind === 'sign' && given === text;
  }

  /** Reads a literal, and adds its place to an error. */
  reading<T>(token: Token, read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (error instanceof TemplateError) throw this.fault(error.problem, token);
      throw error;
    }
  }

  fault(problem: string, { at }: { readonly at: number }): TemplateError {
    return new TemplateError(problem, placeOf(this.#source, at));
  }

  expected(what: string, token: Token): TemplateError {
    const found =
      token.kind === 'end' || token.kind === 'text' ? 'the end of it' : `'${token.text}'`;
    return this.fault(`expected ${what}, found ${found}`, token);
  }
}
