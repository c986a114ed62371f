import { appendFile, readFile } from 'node:fs/promises';
import type { Clock, Logger } from '@swarm/api';
import { messageOf, RuntimeError } from '../runtime-error.js';
import type { EngineClient } from './engine-client.js';
import { hasStatus } from './engine-error.js';
import type { ContainerDetails, ContainerSummary } from './engine-types.js';
import { SPARE_SANDBOXES, SPARES_REST_MS } from './limits.js';
import { nameOf, OWNER_LABEL, ROLE_LABEL, randomName } from './owner.js';
import { removeContainer } from './remove-container.js';
import {
  hasSandboxImage,
  importSandboxImage,
  SANDBOX_COMMAND,
  SANDBOX_IMAGE,
} from './sandbox-image.js';

const TASK_PREFIX = 'swarm-sandbox-';
const SPARE_PREFIX = 'swarm-spare-';
const HOSTNAME_LENGTH = 12;

/** What a task wants of the files and names that it shares with its sandbox. */
export interface SandboxWishes {
  readonly taskId: string;
  /** Its address on its network; its hostname stands for it. */
  readonly address: string;
  readonly hostname?: string;
  /** More lines of `/etc/hosts`, as address and names. */
  readonly hosts: readonly (readonly string[])[];
  readonly dns?: {
    readonly Dns: readonly string[];
    readonly DnsSearch: readonly string[];
    readonly DnsOptions: readonly string[];
  };
  /** Of the network namespace: `net.…`. */
  readonly sysctls: Readonly<Record<string, string>>;
}

export interface Sandbox {
  readonly id: string;
  /** `/proc/PID/ns/net`. */
  readonly netns: string;
}

export interface SandboxesOptions {
  readonly engine: EngineClient;
  readonly owner: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
}

interface Spare {
  readonly id: string;
}

/**
 * Sandboxes are containers without a network of the engine's that hold the network namespace of a task:
 * its veth is in there before the task's container, which joins it, exists.
 *
 * A few spares are kept ready while there are tasks. The name says whose a sandbox is, and renaming is
 * how a task takes a spare: after a crash at any point each sandbox is either a task's or a spare.
 */
export class Sandboxes {
  readonly #options: SandboxesOptions;
  readonly #closed = new AbortController();
  readonly #spares: Spare[] = [];
  /** Spares to have: none while there are no tasks. */
  #wanted = 0;
  #taking = 0;
  #filling: Promise<void> | undefined;
  #restUntilMs = 0;
  #importing: Promise<void> | undefined;

  constructor(options: SandboxesOptions) {
    this.#options = options;
  }

  /** Ids of the sandboxes that wait for a task. */
  get spares(): readonly string[] {
    return this.#spares.map(({ id }) => id);
  }

  /** The task a found sandbox belongs to; undefined for a spare. */
  static taskOf(container: ContainerSummary): string | undefined {
    const name = nameOf(container);
    return name.startsWith(TASK_PREFIX) ? name.slice(TASK_PREFIX.length) : undefined;
  }

  /** Takes over a spare of an earlier life; one that does not run, or is too many, is removed. */
  async adopt(container: ContainerSummary): Promise<void> {
    if (container.State === 'running' && this.#spares.length < SPARE_SANDBOXES) {
      this.#spares.push({ id: container.Id });
    } else await removeContainer(this.#options.engine, this.#options.clock, container.Id);
  }

  /** A running sandbox for the task, a spare where one will do. */
  async take(wishes: SandboxWishes, signal: AbortSignal): Promise<Sandbox> {
    this.#taking += 1;
    this.#wanted = SPARE_SANDBOXES;
    try {
      return (await this.#takeSpare(wishes, signal)) ?? (await this.#makeFor(wishes, signal));
    } finally {
      this.#taking -= 1;
      this.#fill();
    }
  }

  /** Removes the task's sandbox, if it has one. */
  async release(taskId: string): Promise<void> {
    await removeContainer(this.#options.engine, this.#options.clock, TASK_PREFIX + taskId);
  }

  /** There are no tasks any more: so shall be no spares. */
  async dropSpares(): Promise<void> {
    this.#wanted = 0;
    await this.#filling;
    for (const { id } of this.#spares.splice(0)) {
      await removeContainer(this.#options.engine, this.#options.clock, id);
    }
  }

  /** Lets go of them; the next life adopts them. */
  async close(): Promise<void> {
    this.#closed.abort();
    this.#wanted = 0;
    await this.#filling;
  }

  async #takeSpare(wishes: SandboxWishes, signal: AbortSignal): Promise<Sandbox | undefined> {
    const { engine, clock, logger } = this.#options;
    const plain =
      wishes.hostname === undefined &&
      wishes.dns === undefined &&
      Object.keys(wishes.sysctls).length === 0;
    if (!plain) return undefined;
    for (let spare = this.#spares.shift(); spare !== undefined; spare = this.#spares.shift()) {
      try {
        const { HostsPath, Config, State } = await engine.json<ContainerDetails>(
          'GET',
          `/containers/${spare.id}/json`,
          { signal },
        );
        if (State.Status !== 'running') throw new Error('it does not run any more');
        const lines = [[wishes.address, Config.Hostname], ...wishes.hosts];
        await readFile(HostsPath); // Only where the engine keeps its files on this very host.
        await appendFile(HostsPath, lines.map((line) => `${line.join('\t')}\n`).join(''));
        await this.#claim(spare.id, wishes.taskId, signal);
        return { id: spare.id, netns: await netnsOf(spare.id, State.Pid) };
      } catch (error) {
        logger.warn({ error: messageOf(error) }, 'a spare sandbox can not be used');
        this.#restUntilMs = clock.monotonicMs() + SPARES_REST_MS;
        await removeContainer(engine, clock, spare.id);
        if (signal.aborted) throw error;
      }
    }
    return undefined;
  }

  async #claim(id: string, taskId: string, signal: AbortSignal): Promise<void> {
    const { engine, clock } = this.#options;
    const name = TASK_PREFIX + taskId;
    try {
      await engine.json('POST', `/containers/${id}/rename`, { query: { name }, signal });
    } catch (error) {
      if (!hasStatus(error, 409)) throw error;
      // A sandbox of the same task that was given up half made.
      await removeContainer(engine, clock, name);
      await engine.json('POST', `/containers/${id}/rename`, { query: { name }, signal });
    }
  }

  async #makeFor(wishes: SandboxWishes, signal: AbortSignal): Promise<Sandbox> {
    const hostname = wishes.hostname ?? wishes.taskId.slice(0, HOSTNAME_LENGTH);
    const extraHosts = [[wishes.address, hostname], ...wishes.hosts].flatMap(
      ([address, ...names]) => names.map((name) => `${name}:${address}`),
    );
    return this.#make(
      TASK_PREFIX + wishes.taskId,
      hostname,
      { ExtraHosts: extraHosts, Sysctls: wishes.sysctls, ...wishes.dns },
      signal,
    );
  }

  async #make(
    name: string,
    hostname: string,
    hostConfig: object,
    signal: AbortSignal,
  ): Promise<Sandbox> {
    const { engine, owner, clock } = this.#options;
    const body = {
      Image: SANDBOX_IMAGE,
      Entrypoint: SANDBOX_COMMAND,
      Hostname: hostname,
      Labels: { [OWNER_LABEL]: owner, [ROLE_LABEL]: 'sandbox' },
      HostConfig: {
        NetworkMode: 'none',
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
      await removeContainer(engine, clock, name);
      return create();
    });
    try {
      await engine.json('POST', `/containers/${Id}/start`, { signal });
      const { State } = await engine.json<ContainerDetails>('GET', `/containers/${Id}/json`, {
        signal,
      });
      return { id: Id, netns: await netnsOf(Id, State.Pid) };
    } catch (error) {
      // When the daemon ends, the next life adopts or removes it.
      if (!this.#closed.signal.aborted) await removeContainer(engine, clock, Id);
      throw error;
    }
  }

  /** Creates once the image is there; it may be pruned at any time. */
  async #withImage<T>(create: () => Promise<T>, signal: AbortSignal): Promise<T> {
    try {
      return await create();
    } catch (error) {
      if (!hasStatus(error, 404)) throw error;
    }
    const { engine } = this.#options;
    this.#importing ??= (async () => {
      if (!(await hasSandboxImage(engine, this.#closed.signal))) {
        await importSandboxImage(engine, this.#closed.signal);
      }
    })().finally(() => {
      this.#importing = undefined;
    });
    await this.#importing;
    signal.throwIfAborted();
    return create();
  }

  /** Makes spares in the background, when no task waits for a sandbox. */
  #fill(): void {
    const { clock, logger, random } = this.#options;
    if (this.#filling !== undefined || this.#closed.signal.aborted) return;
    if (this.#taking > 0 || clock.monotonicMs() < this.#restUntilMs) return;
    if (this.#spares.length >= this.#wanted) return;
    this.#filling = (async () => {
      while (this.#spares.length < this.#wanted && this.#taking === 0) {
        const hostname = randomName(HOSTNAME_LENGTH, random);
        const { id } = await this.#make(SPARE_PREFIX + hostname, hostname, {}, this.#closed.signal);
        this.#spares.push({ id });
      }
    })()
      .catch((error: unknown) => {
        this.#restUntilMs = clock.monotonicMs() + SPARES_REST_MS;
        if (this.#closed.signal.aborted) return;
        logger.warn({ error: messageOf(error) }, 'spare sandboxes can not be made');
      })
      .finally(() => {
        this.#filling = undefined;
        this.#fill();
      });
  }
}

/**
 * The network namespace of a container's first process.
 * @throws RuntimeError when the engine counts processes in another PID namespace than ours: then the
 *   number means another process here
 */
async function netnsOf(id: string, pid: number): Promise<string> {
  const groups = await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '');
  if (pid === 0 || !groups.includes(id)) {
    throw new RuntimeError(
      'failed',
      'The network namespace of a sandbox can not be found: it ended, or the engine does not run in the same PID namespace as the daemon.',
    );
  }
  return `/proc/${pid}/ns/net`;
}
