import type { ExecutionContext } from 'ava';
import type { MeshCluster } from './cluster.js';

/** A client waits a second before its second attempt: a refusal of the first is faster. */
const FIRST_ATTEMPT_MS = 900;
const DEADLINE_MS = 10_000;
const POLL_MS = 20;

/** The client is refused by the answer to its first packet. */
export async function refusedAtOnce(
  t: ExecutionContext,
  { client }: Pick<MeshCluster, 'client'>,
  host: string,
  port: number,
): Promise<void> {
  const before = performance.now();
  const error = await t.throwsAsync(client.agent.ask({ host, port }));
  t.is((error as NodeJS.ErrnoException).code, 'ECONNREFUSED', `${host}:${port} ${error?.message}`);
  t.true(performance.now() - before < FIRST_ATTEMPT_MS);
}

/** Waits for a condition, at most 10 s. */
export async function until(t: ExecutionContext, condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) {
      t.fail('the condition did not become true within 10 s');
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
