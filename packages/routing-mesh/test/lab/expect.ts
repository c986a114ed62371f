import type { ExecutionContext } from 'ava';
import type { MeshCluster } from './cluster.js';

/** A client waits a second before its second attempt: a refusal of the first is faster. */
const FIRST_ATTEMPT_MS = 900;

/** An emulated guest may need a second for a client's first steps: only waiting for an answer recurs. */
const MEASUREMENTS = process.env.SWARM_GUEST === undefined ? 1 : 4;

/** The client is refused by the answer to its first packet. */
export async function refusedAtOnce(
  t: ExecutionContext,
  { client }: Pick<MeshCluster, 'client'>,
  host: string,
  port: number,
  when = '',
): Promise<void> {
  let least = Infinity;
  for (let i = 0; i < MEASUREMENTS && least >= FIRST_ATTEMPT_MS; i += 1) {
    const before = performance.now();
    const error = await t.throwsAsync(client.agent.ask({ host, port }));
    t.is(
      (error as NodeJS.ErrnoException).code,
      'ECONNREFUSED',
      `${host}:${port} ${when} ${error?.message}`,
    );
    least = Math.min(least, performance.now() - before);
  }
  t.true(least < FIRST_ATTEMPT_MS, `${host}:${port} ${when} after ${least} ms`);
}
