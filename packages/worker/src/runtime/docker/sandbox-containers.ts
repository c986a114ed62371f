import { readFile } from 'node:fs/promises';
import { type Clock, type PredefinedNetwork, ROLE_LABEL, SANDBOX_ROLE } from '@swarm/api';
import { RuntimeError } from '../runtime-error.js';
import type { EngineClient } from './engine-client.js';
import { hasStatus } from './engine-error.js';
import type { ContainerDetails } from './engine-types.js';
import { removeContainer } from './remove-container.js';
import {
  hasSandboxImage,
  importSandboxImage,
  SANDBOX_COMMAND,
  SANDBOX_IMAGE,
} from './sandbox-image.js';

export interface SandboxContainersOptions {
  readonly engine: EngineClient;
  /** Labels besides the role: whose they are. */
  readonly labels: Readonly<Record<string, string>>;
  readonly clock: Clock;
}

/** How to make a sandbox's container. */
export interface SandboxContainerPlan {
  readonly name: string;
  readonly hostname: string;
  readonly domain?: string;
  readonly networkMode: PredefinedNetwork;
  /** Further fields of the Engine API's `HostConfig`. */
  readonly hostConfig?: object;
}

/** Makes containers that hold a network namespace and do nothing else. */
export class SandboxContainers {
  readonly #options: SandboxContainersOptions;
  readonly #closed = new AbortController();
  #importing: Promise<void> | undefined;

  constructor(options: SandboxContainersOptions) {
    this.#options = options;
  }

  /** Lets go of the containers, which keep running. */
  close(): void {
    this.#closed.abort();
  }

  /** Makes and starts one; first removes an abandoned, half-made one of the same name. */
  async make(plan: SandboxContainerPlan, signal: AbortSignal): Promise<string> {
    const { engine, labels } = this.#options;
    const { name, hostname, domain, networkMode, hostConfig } = plan;
    const body = {
      Image: SANDBOX_IMAGE,
      Entrypoint: SANDBOX_COMMAND,
      Hostname: hostname,
      ...(domain !== undefined && { Domainname: domain }),
      Labels: { ...labels, [ROLE_LABEL]: SANDBOX_ROLE },
      HostConfig: {
        NetworkMode: networkMode,
        LogConfig: { Type: 'none', Config: {} },
        CapDrop: ['ALL'],
        SecurityOpt: ['no-new-privileges'],
        RestartPolicy: { Name: 'no' },
        ...hostConfig,
      },
    };
    const create = (): Promise<{ Id: string }> =>
      engine.json('POST', '/containers/create', { query: { name }, body, signal });
    const { Id } = await this.#withImage(create, signal).catch(async (error: unknown) => {
      if (!hasStatus(error, 409)) throw error;
      await this.remove(name);
      return create();
    });
    try {
      await engine.json('POST', `/containers/${Id}/start`, { signal });
      return Id;
    } catch (error) {
      // When the daemon ends, the next run adopts or removes it.
      if (!this.#closed.signal.aborted) await this.remove(Id);
      throw error;
    }
  }

  look(id: string, signal: AbortSignal): Promise<ContainerDetails> {
    return this.#options.engine.json<ContainerDetails>('GET', `/containers/${id}/json`, { signal });
  }

  /** Renames a sandbox; removes an abandoned, half-made one that has the name. */
  async rename(id: string, name: string, signal: AbortSignal): Promise<void> {
    const { engine } = this.#options;
    const path = `/containers/${id}/rename`;
    try {
      await engine.json('POST', path, { query: { name }, signal });
    } catch (error) {
      if (!hasStatus(error, 409)) throw error;
      await this.remove(name);
      await engine.json('POST', path, { query: { name }, signal });
    }
  }

  /** Removes one by id or name, if there is one. */
  async remove(id: string): Promise<void> {
    await removeContainer(this.#options.engine, this.#options.clock, id);
  }

  /** Creates once the image exists, which somebody may prune at any time. */
  async #withImage<T>(create: () => Promise<T>, signal: AbortSignal): Promise<T> {
    try {
      return await create();
    } catch (error) {
      if (!hasStatus(error, 404)) throw error;
    }
    const { engine } = this.#options;
    this.#importing ??= (async () => {
      const { signal: closed } = this.#closed;
      if (!(await hasSandboxImage(engine, closed))) {
        await importSandboxImage(engine, closed);
      }
    })().finally(() => {
      this.#importing = undefined;
    });
    await this.#importing;
    signal.throwIfAborted();
    return create();
  }
}

/**
 * The network namespace of a running container's first process.
 * @throws RuntimeError when the engine runs in another PID namespace than the daemon: the number would then
 *   mean another process
 */
export async function netnsOf({ Id, State }: ContainerDetails): Promise<string> {
  const groups = await readFile(`/proc/${State.Pid}/cgroup`, 'utf8').catch(() => '');
  if (State.Pid === 0 || !groups.includes(Id)) {
    throw new RuntimeError(
      'failed',
      'Cannot find the network namespace of a sandbox: it has ended, or the engine runs in another PID namespace than the daemon.',
    );
  }
  return `/proc/${State.Pid}/ns/net`;
}
