/** Iterators of maps and of sets. */
const ITERATORS = [new Map().entries(), new Set().values()].map(
  (one) => Object.getPrototypeOf(one) as { next: () => IteratorResult<unknown> },
);

/**
 * How many elements of maps and sets, whosever they are, are looked at one after the other while the job runs.
 * Nothing else of the process may run meanwhile.
 */
export async function iterationSteps(job: () => Promise<unknown>): Promise<number> {
  let steps = 0;
  const originals = ITERATORS.map(({ next }) => next);
  for (const [at, prototype] of ITERATORS.entries()) {
    const next = originals[at]!;
    prototype.next = function count(this: unknown) {
      steps += 1;
      return next.call(this as never);
    };
  }
  try {
    await job();
  } finally {
    for (const [at, prototype] of ITERATORS.entries()) prototype.next = originals[at]!;
  }
  return steps;
}
