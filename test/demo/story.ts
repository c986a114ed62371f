/** Tells a demonstration: steps with their time, output of commands indented. */
export class Story {
  readonly #colours: boolean;

  constructor(colours: boolean) {
    this.#colours = colours;
  }

  title(text: string): void {
    console.log(`\n${this.#paint('1', text)}\n`);
  }

  say(text: string): void {
    console.log(text);
  }

  /** Does one step; what it returns as text is told after it. */
  async step<T>(what: string, work: () => Promise<T>): Promise<T> {
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
