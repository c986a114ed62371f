import { OWNER_LABEL, ROLE_LABEL, SANDBOX_ROLE } from '@swarm/api';
import type { EngineClient } from './engine-client.js';
import type { ContainerSummary } from './engine-types.js';

/** Containers of an earlier run of the daemon, running or not. */
export async function findLeft(
  engine: EngineClient,
  owner: string,
): Promise<{
  readonly sandboxes: readonly ContainerSummary[];
  readonly tasks: readonly ContainerSummary[];
}> {
  const filters = JSON.stringify({ label: [`${OWNER_LABEL}=${owner}`] });
  const found = await engine.json<readonly ContainerSummary[]>('GET', '/containers/json', {
    query: { all: 1, filters },
  });
  const withRole = (role: string): readonly ContainerSummary[] =>
    found.filter(({ Labels }) => Labels?.[ROLE_LABEL] === role);
  return { sandboxes: withRole(SANDBOX_ROLE), tasks: withRole('task') };
}
