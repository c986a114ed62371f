/** Steps in one turn of the real event loop, which has signals and other processes to hear, too. */
const BATCH_STEPS = 512;

/**
 * What Node calls after each callback of its event loop: runs all pending promise jobs, and all
 * that these create. Undocumented, so it may disappear one day.
 */
export type DrainJobs = () => void;

/** Null when this Node has none. */
export function nodesOwnDrain(): DrainJobs | null {
  return (process as { _tickCallback?: DrainJobs })._tickCallback ?? null;
}

/**
 * Calls `step` until it returns false. All promise jobs that follow from a step run before the next
 * step, which makes an event and its consequences one unit.
 *
 * @param drain null: each step is a turn of the event loop, which is slower but otherwise the same
 */
export function runSteps(
  step: () => boolean,
  drain: DrainJobs | null = nodesOwnDrain(),
): Promise<void> {
  const batch = drain === null ? 1 : BATCH_STEPS;
  return new Promise((resolve, reject) => {
    // Jobs can run only from a callback of the event loop, not from within another job.
    const turn = () => {
      try {
        for (let i = 0; i < batch; i++) {
          if (!step()) {
            resolve();
            return;
          }
          drain?.();
        }
      } catch (error) {
        reject(error as Error);
        return;
      }
      setImmediate(turn);
    };
    setImmediate(turn);
  });
}
