/** What a terminal shows of what it is sent: text, line feeds, and the sequences that `swarm` uses. */
export class Screen {
  readonly columns: number;
  readonly rows: number;
  readonly #lines: string[] = [''];
  #row = 0;
  #column = 0;

  constructor(columns = 80, rows = 24) {
    this.columns = columns;
    this.rows = rows;
  }

  /** All lines so far; those above the window have scrolled away. */
  get lines(): readonly string[] {
    return this.#lines.map((line) => line.trimEnd());
  }

  /** @throws Error for anything that this terminal does not know */
  write(text: string): void {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    const tokens = /\u001b\[(\d*)([A-Za-z])|\n|\r|[^\u0000-\u001f\u007f-\u009f]|([\s\S])/gu;
    for (const [token, count, kind, other] of text.matchAll(tokens)) {
      if (other !== undefined) throw new Error(`the screen got ${JSON.stringify(other)}`);
      if (kind !== undefined) this.#control(kind, Number(count || 1));
      else if (token === '\n') this.#down();
      else if (token === '\r') this.#column = 0;
      else this.#put(token);
    }
  }

  #put(character: string): void {
    if (this.#column === this.columns) this.#down();
    const line = [...(this.#lines[this.#row] ?? '').padEnd(this.#column)];
    line[this.#column] = character;
    this.#lines[this.#row] = line.join('');
    this.#column += 1;
  }

  #down(): void {
    this.#row += 1;
    this.#column = 0;
    this.#lines[this.#row] ??= '';
  }

  #control(kind: string, count: number): void {
    if (kind === 'A') {
      const top = Math.max(0, this.#lines.length - this.rows);
      this.#row = Math.max(top, this.#row - count);
    } else if (kind === 'K')
      this.#lines[this.#row] = this.#lines[this.#row]!.slice(0, this.#column);
    else if (kind === 'J') {
      this.#lines[this.#row] = this.#lines[this.#row]!.slice(0, this.#column);
      this.#lines.length = this.#row + 1;
    } else if (kind !== 'm') throw new Error(`the screen got CSI ${kind}`);
  }
}
