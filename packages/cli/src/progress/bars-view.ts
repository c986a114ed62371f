import { isTerminal, type TaskState } from '@swarm/api/client';
import type { Color } from '../output/color.js';
import type { LiveArea, LiveLine } from '../output/live-area.js';
import { wrapLines } from '../output/wrap.js';
import { STAGES, stageOf, type TaskProgress } from './measure.js';
import { countsOf, type ProgressState, type ProgressView } from './view.js';

/** With more tasks than this, there is one bar for all of them. */
const BARS_LIMIT = 20;
/** Lines besides the bars of tasks: counts, a cause and what they wait for, remaining time. */
const OTHER_LINES = 8;
const BAR_MAX_WIDTH = 50;
/** Beside a reason, which says more. */
const BAR_WIDTH_BESIDE_REASON = 20;
/** Most lines of one reason; `service ps --no-trunc` shows it all. */
const REASON_LINES = 3;
/** A narrower bar is meaningless; then the words next to it stand alone. */
const BAR_MIN_WIDTH = 8;

/** Draws progress in place: a bar for each task, or one for all if there are many. */
export class BarsView implements ProgressView {
  readonly #live: LiveArea;

  constructor(live: LiveArea) {
    this.#live = live;
  }

  show(state: ProgressState): void {
    const total = state.kind === 'service' ? state.wanted : state.total;
    const done = state.kind === 'service' ? state.running : state.completed;
    const [first, ...others] = countsOf(state).map(([kind, text]) => `${kind}: ${text}`);
    const places = Math.max(total, state.tasks.length);
    const each = places <= BARS_LIMIT && places + OTHER_LINES <= this.#live.rows;
    const lines: LiveLine[] = each
      ? [[first!], ...this.#bars(state, total)]
      : [[`${first} `, this.#bar(first!.length + 1, total === 0 ? 0 : done / total)]];
    lines.push(...others.map((text) => [text]));
    for (const cause of state.failures) lines.push(...this.#paragraph(`failed: ${cause}`, 'red'));
    if (state.waiting !== undefined)
      lines.push(...this.#paragraph(`waiting: ${state.waiting}`, 'yellow'));
    if (state.verify !== undefined) {
      const text = `verify: ${state.verify.text}`;
      lines.push([state.verify.done ? { text, color: 'green' } : text]);
    }
    this.#live.draw(lines);
  }

  #bars({ tasks }: ProgressState, total: number): LiveLine[] {
    const missing = Math.max(0, total - tasks.length);
    const places: readonly TaskProgress[] = [
      ...tasks,
      ...Array.from(
        { length: missing },
        (): TaskProgress => ({
          ...{ place: '', state: 'new', error: '' },
        }),
      ),
    ];
    const isSlot = tasks.every(({ place }) => /^\d*$/.test(place));
    const names = places.map(({ place }, at) => (isSlot ? `${at + 1}/${places.length}` : place));
    const nameWidth = Math.max(...names.map((name) => name.length), 0);
    const stateWidth = Math.max(...places.map(({ state }) => state.length), 0);
    const hasReason = places.some(({ error }) => error !== '');
    const most = hasReason ? BAR_WIDTH_BESIDE_REASON : BAR_MAX_WIDTH;
    return places.map(({ state, error }, at) => {
      const begin = `${names[at]!.padEnd(nameWidth)}: `;
      const word = state.padEnd(stateWidth);
      const bar = this.#bar(begin.length + word.length + 1, shareOf(state), most);
      const why = error === '' ? [] : [{ text: ` ${error}`, color: 'yellow' as const }];
      return [begin, { text: word, ...colorOf(state) }, ' ', bar, ...why];
    });
  }

  #paragraph(text: string, color: Color): LiveLine[] {
    const width = this.#live.columns - 1;
    const lines = wrapLines(text, width, REASON_LINES);
    return lines.map((line) => [{ text: line, color }]);
  }

  /** `[=====>    ]`, as wide as the rest of the line allows. */
  #bar(used: number, share: number, most = BAR_MAX_WIDTH): string {
    const width = Math.min(most, this.#live.columns - used - '[]'.length - 1);
    if (width < BAR_MIN_WIDTH) return '';
    const full = Math.round(share * width);
    const done = full === 0 ? '' : `${'='.repeat(full - 1)}>`;
    return `[${done.padEnd(width)}]`;
  }
}

function shareOf(state: TaskState): number {
  if (state === 'complete') return 1;
  return Math.max(0, stageOf(state)) / (STAGES.length - 1);
}

function colorOf(state: TaskState): { color?: 'green' | 'red' } {
  if (state === 'running' || state === 'complete') return { color: 'green' };
  return isTerminal(state) ? { color: 'red' } : {};
}
