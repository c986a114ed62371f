import type { ExecutionContext } from 'ava';
import type { MeshCluster } from './cluster.js';

/** A client waits a second before its second attempt: a refusal of the first is faster. */
const FIRST_ATTEMPT_MS = 900;

/** The client is refused by the answer to its first packet. */
export async function refusedAtOnce(
  t: ExecutionContext,
  { client }: Pick<MeshCluster, 'client'>,
  host: string,
  port: number,
  when = '',
): Promise<void> {
  const before = performance.now();
  const error = await t.throwsAsync(client.agent.ask({ host, port }));
  t.is(
    (error as NodeJS.ErrnoException).code,
    'ECONNREFUSED',
    `${host}:${port} ${when} ${error?.message}`,
  );
  t.true(performance.now() - before < FIRST_ATTEMPT_MS);
}
