/** Far beyond what it takes: a busy machine must not fail a test. */
const DEADLINE_MS = 30_000;
const POLL_MS = 2;

/** Waits, in real time, until a condition holds. @throws when it does not in time */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not within ${DEADLINE_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
