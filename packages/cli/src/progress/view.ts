import type { JobProgress, Progress } from './measure.js';

/** State of the final verification: counting down, or done. */
export interface Verify {
  readonly done: boolean;
  readonly text: string;
}

/** Everything known about a service while waiting for it. */
export type ProgressState =
  | ({ readonly kind: 'service'; readonly verify: Verify | undefined } & Progress)
  | ({ readonly kind: 'job'; readonly verify: Verify | undefined } & JobProgress);

/** Shows a user how far a service is. */
export interface ProgressView {
  show(state: ProgressState): void;
}

/** A duration in words, which counts down while nothing changes: `waiting 4.9s`. */
const DURATION = /\d+(?:\.\d+)?\s?(?:ms|s|m|h|seconds?|minutes?)\b/g;

/** A text without its durations: the same as long as only time passes. */
export function withoutTimes(text: string): string {
  return text.replace(DURATION, '');
}

/** The counts of a service or a job, in words. */
export function countsOf(state: ProgressState): readonly (readonly [string, string])[] {
  if (state.kind === 'service')
    return [['overall progress', `${state.running} out of ${state.wanted} tasks`]];
  const counts: [string, string][] = [
    ['job progress', `${state.completed} out of ${state.total} complete`],
  ];
  if (state.completed < state.total)
    counts.push(['active tasks', `${state.active} out of ${state.concurrent} tasks`]);
  return counts;
}
