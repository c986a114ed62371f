import { showControls } from '@swarm/api/text';
import { type Color, colored } from './color.js';

/** A part of a line, and its colour, if any. */
export type LivePart = string | { readonly text: string; readonly color?: Color };
export type LiveLine = readonly LivePart[];

/** The last lines of a terminal, redrawn each time they change. */
export interface LiveArea {
  readonly columns: number;
  readonly rows: number;
  /** Replaces the lines drawn before. Cuts what is too long for the window. */
  draw(lines: readonly LiveLine[]): void;
}

export interface LiveTarget {
  write(text: string): unknown;
  readonly columns: number;
  readonly rows: number;
  readonly color: boolean;
}

const UP = (lines: number) => (lines === 0 ? '' : `\u001b[${lines}A`);
const CLEAR_TO_LINE_END = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';

/** Draws lines on a terminal. Lets no control character but its own through. */
export class DrawnLines implements LiveArea {
  readonly #target: LiveTarget;
  /** Lines above the cursor to draw over next time. */
  #height = 0;
  #last = '';

  constructor(target: LiveTarget) {
    this.#target = target;
  }

  get columns(): number {
    return this.#target.columns;
  }

  get rows(): number {
    return this.#target.rows;
  }

  draw(lines: readonly LiveLine[]): void {
    // A line that fills the last column wraps on some terminals, and the next redraw would be one line off.
    const width = this.columns - 1;
    const text = lines
      .map((line) => `${cut(line, width, this.#target.color)}${CLEAR_TO_LINE_END}\n`)
      .join('');
    if (text === this.#last && this.#height > 0) return;
    this.#target.write(`${UP(this.#height)}${text}${CLEAR_BELOW}`);
    this.#height = lines.length;
    this.#last = text;
  }

  /** Something else was written: leaves what is drawn, and draws the next lines below it. */
  leave(): void {
    this.#height = 0;
  }
}

function cut(line: LiveLine, width: number, color: boolean): string {
  let left = width;
  let text = '';
  for (const part of line) {
    const { text: whole, color: wanted } =
      typeof part === 'string' ? { text: part, color: undefined } : part;
    let shown = '';
    for (const character of showControls(whole)) {
      left -= cellsOf(character);
      if (left < 0) break;
      shown += character;
    }
    text += color && wanted !== undefined && shown !== '' ? colored(shown, wanted) : shown;
    if (left < 0) break;
  }
  return text;
}

/** Cells that a character takes: at most two; from Hangul Jamo on, most take both. */
function cellsOf(character: string): number {
  return character.codePointAt(0)! >= 0x1100 ? 2 : 1;
}
