import type { Color } from '../output/color.js';
import type { Output } from '../output/output.js';
import { countsOf, type ProgressState, type ProgressView } from './view.js';

/** Prints progress as lines, one when something changes: for pipes, files and logs. */
export class LinesView implements ProgressView {
  readonly #output: Output;
  readonly #shown = new Map<string, string>();

  constructor(output: Output) {
    this.#output = output;
  }

  show(state: ProgressState): void {
    for (const [kind, text] of countsOf(state)) this.#line(kind, text);
    if (state.waiting !== undefined) this.#line('waiting', state.waiting, 'yellow');
    const { verify } = state;
    if (verify !== undefined) this.#line('verify', verify.text, verify.done ? 'green' : undefined);
  }

  #line(kind: string, text: string, color?: Color): void {
    if (this.#shown.get(kind) === text) return;
    this.#shown.set(kind, text);
    this.#output.line(`${kind}: ${text}`, color);
  }
}
