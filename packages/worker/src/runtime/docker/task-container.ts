import { OWNER_LABEL } from '@swarm/api';
import { type EngineError, hasStatus } from './engine-error.js';
import type { DockerHost } from './docker-host.js';
import type { ContainerDetails } from './engine-types.js';
import { removeContainer } from './remove-container.js';

/**
 * Creates a task's container; first removes an abandoned, half-made one of the same name.
 * @returns its id
 * @throws EngineError 409 when the name belongs to a container that is not ours
 */
export async function createTaskContainer(
  host: DockerHost,
  owner: string,
  name: string,
  body: object,
  signal: AbortSignal,
): Promise<string> {
  const create = async (): Promise<string> => {
    const made = await host.engine.json<{ Id: string }>('POST', '/containers/create', {
      query: { name },
      body,
      signal,
    });
    return made.Id;
  };
  try {
    return await create();
  } catch (error) {
    if (!hasStatus(error, 409)) throw error;
    await clearName(host, owner, name, error);
    return create();
  }
}

async function clearName(
  { engine, clock }: DockerHost,
  owner: string,
  name: string,
  conflict: EngineError,
): Promise<void> {
  const { Id, Config } = await engine.json<ContainerDetails>('GET', `/containers/${name}/json`);
  if (Config.Labels?.[OWNER_LABEL] !== owner) throw conflict;
  await removeContainer(engine, clock, Id);
}
