/** Narrates a demo: steps with their duration, output of commands indented. */
export class Story {
  readonly #colours: boolean;
  readonly #interrupted: AbortSignal;

  /** @param interrupted ends the current step, and every later one */
  constructor(colours: boolean, interrupted: AbortSignal) {
    this.#colours = colours;
    this.#interrupted = interrupted;
  }

  get isInterrupted(): boolean {
    return this.#interrupted.aborted;
  }

  title(text: string): void {
    console.log(`\n${this.#paint('1', text)}\n`);
  }

  say(text: string): void {
    console.log(text);
  }

  /** Runs one step and prints the text it returns. An interrupt is an error of the step. */
  step<T>(what: string, work: () => Promise<T>): Promise<T> {
    return this.#tell(what, () => this.#untilInterrupted(work()));
  }

  /** Like {@link step}, for what must run to its end: making the lab, and taking it down. */
  wholeStep<T>(what: string, work: () => Promise<T>): Promise<T> {
    return this.#tell(what, work);
  }

  async #untilInterrupted<T>(work: Promise<T>): Promise<T> {
    const signal = this.#interrupted;
    let onAbort = () => {};
    const interrupted = new Promise<never>((_, reject) => {
      onAbort = () => reject(new Error('interrupted'));
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort);
    });
    try {
      return await Promise.race([work, interrupted]);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  async #tell<T>(what: string, work: () => Promise<T>): Promise<T> {
    console.log(`${this.#paint('36', '▶')} ${what}`);
    const begin = performance.now();
    const result = await work();
    const seconds = ((performance.now() - begin) / 1000).toFixed(1);
    const told = typeof result === 'string' ? `: ${result}` : '';
    console.log(`  ${this.#paint('32', '✓')} ${seconds} s${told}\n`);
    return result;
  }

  show(output: string): void {
    console.log(output.trimEnd().replace(/^/gm, '    ') + '\n');
  }

  fail(error: unknown): void {
    console.error(
      `  ${this.#paint('31', '✗')} ${error instanceof Error ? error.message : String(error)}`,
    );
  }

  #paint(code: string, text: string): string {
    return this.#colours ? `\u001b[${code}m${text}\u001b[0m` : text;
  }
}
