import type { Color } from '../output/color.js';
import type { Output } from '../output/output.js';
import { countsOf, type ProgressState, type ProgressView, withoutTimes } from './view.js';

/** Most causes to remember. */
const CAUSES_LIMIT = 100;

/** Prints progress as lines, one when something changes: for pipes, files and logs. */
export class LinesView implements ProgressView {
  readonly #output: Output;
  readonly #shown = new Map<string, string>();
  readonly #causes = new Set<string>();

  constructor(output: Output) {
    this.#output = output;
  }

  show(state: ProgressState): void {
    for (const [kind, text] of countsOf(state)) this.#line(kind, text);
    for (const cause of state.failures) this.#cause(cause);
    if (state.waiting !== undefined) this.#line('waiting', state.waiting, 'yellow');
    const { verify } = state;
    if (verify !== undefined) this.#line('verify', verify.text, verify.done ? 'green' : undefined);
  }

  /** Says each cause once: the line about the wait for the restart counts them. */
  #cause(cause: string): void {
    if (this.#causes.has(cause)) return;
    if (this.#causes.size === CAUSES_LIMIT) this.#causes.clear();
    this.#causes.add(cause);
    this.#output.line(`failed: ${cause}`, 'red');
  }

  #line(kind: string, text: string, color?: Color): void {
    // A countdown is no change.
    const said = withoutTimes(text);
    if (this.#shown.get(kind) === said) return;
    this.#shown.set(kind, said);
    this.#output.line(`${kind}: ${text}`, color);
  }
}
