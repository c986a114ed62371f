import type { Clock, Logger, LogLine, LogOptions, Task } from '@swarm/api';
import type {
  LeftTask,
  PrepareContext,
  PreparedTask,
  Runtime,
  RuntimeDescription,
  StartProgress,
  StopOptions,
  TaskEnd,
} from '../runtime.js';
import { messageOf, RuntimeError } from '../runtime-error.js';
import { hostPorts, taskAddresses, taskAttachments } from '../task-ports.js';
import { containerBody, sandboxWishes } from './container-body.js';
import { checkDockerSpec } from './docker-spec.js';
import { type DockerHost, DockerTask } from './docker-task.js';
import { EngineClient } from './engine-client.js';
import { EngineError, hasStatus } from './engine-error.js';
import { refusal } from './engine-refusal.js';
import { EngineEvents } from './engine-events.js';
import { defaultNetwork } from './engine-networks.js';
import type { ContainerDetails, ContainerSummary, EngineInfo } from './engine-types.js';
import { ImagePuller } from './image-puller.js';
import { readContainerLog } from './docker-log.js';
import { OWNER_LABEL, ownerOf, ROLE_LABEL, TASK_LABEL } from './owner.js';
import { removeContainer } from './remove-container.js';
import { type Sandbox, Sandboxes } from './sandboxes.js';

export interface DockerRuntimeOptions {
  /** Unix socket of a Docker Engine (20.10 or newer) or of Podman's service. */
  readonly socketPath: string;
  /** Where the mark of this node's containers is kept. Made when missing. */
  readonly folder: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  /**
   * Images that are here are used without asking their registry, as with Docker's
   * `DOCKER_SERVICE_PREFER_OFFLINE_IMAGE=1`. Default false.
   */
  readonly preferLocalImages?: boolean;
}

/**
 * Runs tasks as containers of a Docker Engine on the same host. A task with a network joins a sandbox
 * container that holds its network namespace. The engine keeps everything of a task: what is not in
 * the engine's labels and names does not survive the daemon.
 */
export class DockerRuntime implements Runtime {
  readonly kind = 'docker';
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #engine: EngineClient;
  readonly #owner: string;
  readonly #puller: ImagePuller;
  readonly #host: DockerHost;
  readonly #events: EngineEvents;
  readonly #tasks = new Map<string, DockerTask>();
  readonly #byContainer = new Map<string, DockerTask>();
  #opened: Promise<void> | undefined;
  #closed = false;

  constructor(options: DockerRuntimeOptions) {
    const { clock, logger, random, socketPath } = options;
    this.#clock = clock;
    this.#logger = logger;
    this.#owner = ownerOf(options.folder, random);
    const engine = new EngineClient({ socketPath, clock, random });
    this.#engine = engine;
    this.#puller = new ImagePuller({
      engine,
      clock,
      logger,
      preferLocal: options.preferLocalImages === true,
    });
    const sandboxes = new Sandboxes({ engine, owner: this.#owner, clock, logger, random });
    this.#host = { engine, clock, sandboxes };
    this.#events = new EngineEvents({
      engine,
      clock,
      logger,
      random,
      label: `${OWNER_LABEL}=${this.#owner}`,
      onEvent: (containerId) => void this.#look(this.#byContainer.get(containerId)),
      onResync: async () => {
        for (const task of this.#tasks.values()) await task.refresh();
      },
    });
  }

  async describe(): Promise<RuntimeDescription> {
    const info = await this.#engine.json<EngineInfo>('GET', '/info');
    return {
      kind: this.kind,
      hostname: info.Name,
      platform: { Architecture: info.Architecture, OS: info.OSType },
      resources: { NanoCPUs: info.NCPU * 1e9, MemoryBytes: info.MemTotal },
      engineVersion: info.ServerVersion,
      plugins: Object.entries(info.Plugins ?? {}).flatMap(([Type, names]) =>
        (names ?? []).map((Name) => ({ Type, Name })),
      ),
    };
  }

  async list(): Promise<readonly LeftTask[]> {
    await this.#open();
    return [...this.#tasks.values()].map(({ taskId, state, prepared }) => ({
      taskId,
      state,
      prepared,
    }));
  }

  async prepare(task: Task, context: PrepareContext): Promise<PreparedTask> {
    await this.#open();
    const known = this.#tasks.get(task.ID);
    if (known !== undefined) return known.prepared;
    checkDockerSpec(task, await this.#engine.version());
    // What can be refused is refused before anything is pulled or made.
    containerBody(task, { node: context.node, owner: this.#owner, networkMode: 'none' });
    try {
      const sandbox = await this.#makeParts(task, context);
      const networkMode =
        sandbox === undefined
          ? await defaultNetwork(this.#engine, context.signal)
          : `container:${sandbox.id}`;
      const id = await this.#create(task, context, networkMode);
      const prepared = new DockerTask(task.ID, id, this.#host);
      this.#tasks.set(task.ID, prepared);
      this.#byContainer.set(id, prepared);
      await prepared.refresh();
      return prepared.prepared;
    } catch (error) {
      await this.#discard(task.ID);
      if (context.signal.aborted) {
        throw new RuntimeError('aborted', 'The task is not wanted any more.', { cause: error });
      }
      if (error instanceof EngineError) throw refusal(error);
      throw error;
    }
  }

  async start(taskId: string, progress: StartProgress): Promise<void> {
    await this.#task(taskId).start(progress);
  }

  async wait(taskId: string): Promise<TaskEnd> {
    return this.#task(taskId).wait();
  }

  async stop(taskId: string, options: StopOptions): Promise<void> {
    await this.#open();
    await this.#tasks.get(taskId)?.stop(options);
  }

  async remove(taskId: string): Promise<void> {
    await this.#open();
    if (!this.#tasks.has(taskId)) return;
    await this.#discard(taskId);
  }

  logs(taskId: string, options: LogOptions): AsyncIterable<LogLine> {
    return readContainerLog(this.#engine, this.#task(taskId), options);
  }

  pid(taskId: string): number | undefined {
    return this.#tasks.get(taskId)?.pid;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#events.close();
    await this.#host.sandboxes.close();
    await this.#engine.close();
  }

  /** Adopts what an earlier daemon left, once; an engine that is away is asked again by the next call. */
  async #open(): Promise<void> {
    this.#opened ??= this.#adopt().then(
      () => this.#events.start(),
      (error: unknown) => {
        this.#opened = undefined;
        throw error;
      },
    );
    await this.#opened;
  }

  async #adopt(): Promise<void> {
    const filters = JSON.stringify({ label: [`${OWNER_LABEL}=${this.#owner}`] });
    const found = await this.#engine.json<readonly ContainerSummary[]>('GET', '/containers/json', {
      query: { all: 1, filters },
    });
    const role = (container: ContainerSummary): string | undefined =>
      container.Labels?.[ROLE_LABEL];
    const sandboxes = found.filter((container) => role(container) === 'sandbox');
    const running = new Set(
      sandboxes.filter(({ State }) => State === 'running').map(({ Id }) => Id),
    );
    for (const { Id, Labels } of found.filter((container) => role(container) === 'task')) {
      await this.#adoptTask(Id, Labels?.[TASK_LABEL] ?? '', running);
    }
    for (const sandbox of sandboxes) {
      const taskId = Sandboxes.taskOf(sandbox);
      if (taskId === undefined) await this.#host.sandboxes.adopt(sandbox);
      else if (!this.#tasks.has(taskId)) {
        await removeContainer(this.#engine, this.#clock, sandbox.Id);
      }
    }
    if (this.#tasks.size === 0) await this.#host.sandboxes.dropSpares();
  }

  async #adoptTask(
    containerId: string,
    taskId: string,
    sandboxes: ReadonlySet<string>,
  ): Promise<void> {
    const task = new DockerTask(taskId, containerId, this.#host);
    await task.refresh();
    const mode = task.details?.HostConfig.NetworkMode ?? '';
    const [, sandbox] = /^container:(.*)$/.exec(mode) ?? [];
    // A boot or an engine's restart took its network: what never ran is prepared anew.
    const stale = task.state === 'prepared' && sandbox !== undefined && !sandboxes.has(sandbox);
    if (stale || task.details === undefined) {
      this.#logger.info({ taskId }, 'removing a prepared task whose network is gone');
      await removeContainer(this.#engine, this.#clock, containerId);
      return;
    }
    this.#tasks.set(taskId, task);
    this.#byContainer.set(containerId, task);
  }

  /** Image and network at the same time; when one fails, the other is given up. */
  async #makeParts(task: Task, context: PrepareContext): Promise<Sandbox | undefined> {
    const other = new AbortController();
    const signal = AbortSignal.any([context.signal, other.signal]);
    const part = async <T>(work: Promise<T>): Promise<T> => {
      try {
        return await work;
      } catch (error) {
        // The first failure is the one to tell.
        if (!other.signal.aborted) other.abort(error);
        throw error;
      }
    };
    const auth = task.Spec.RegistryAuth;
    const image = part(
      this.#puller.ensure(task.Spec.ContainerSpec!.Image, auth, {
        signal,
        waiting: (message) => context.waiting(message),
      }),
    );
    const sandbox = part(this.#attach(task, context, signal));
    const [imageResult, sandboxResult] = await Promise.allSettled([image, sandbox]);
    if (context.signal.aborted || imageResult.status === 'rejected') {
      throw other.signal.aborted ? other.signal.reason : (context.signal.reason as unknown);
    }
    if (sandboxResult.status === 'rejected') throw other.signal.reason;
    return sandboxResult.value;
  }

  async #attach(
    task: Task,
    context: PrepareContext,
    signal: AbortSignal,
  ): Promise<Sandbox | undefined> {
    // The first stands for the task's hostname.
    const [address] = taskAddresses(task);
    if (address === undefined) return undefined;
    const wishes = sandboxWishes(task, address, context.node);
    const sandbox = await this.#host.sandboxes.take(wishes, signal);
    await context.network.attach({
      taskId: task.ID,
      attachments: taskAttachments(task),
      netns: sandbox.netns,
      hostPorts: hostPorts(task),
    });
    return sandbox;
  }

  async #create(task: Task, context: PrepareContext, networkMode: string): Promise<string> {
    const { node, signal } = context;
    const body = containerBody(task, { node, owner: this.#owner, networkMode });
    const create = async (): Promise<string> => {
      const made = await this.#engine.json<{ Id: string }>('POST', '/containers/create', {
        query: { name: task.Name },
        body,
        signal,
      });
      return made.Id;
    };
    try {
      return await create();
    } catch (error) {
      if (!hasStatus(error, 409)) throw error;
      await this.#clearName(task, error);
      return create();
    }
  }

  /** A container of the task's name is in the way: our own, half made, is removed, another's is not. */
  async #clearName(task: Task, conflict: EngineError): Promise<void> {
    const { Id, Config } = await this.#engine.json<ContainerDetails>(
      'GET',
      `/containers/${task.Name}/json`,
    );
    if (Config.Labels?.[OWNER_LABEL] !== this.#owner) throw conflict;
    await removeContainer(this.#engine, this.#clock, Id);
  }

  /** Removes whatever there is of a task; everything is found again by its name. */
  async #discard(taskId: string): Promise<void> {
    const task = this.#tasks.get(taskId);
    if (task !== undefined) await task.remove();
    await this.#host.sandboxes.release(taskId);
    if (task !== undefined) this.#byContainer.delete(task.containerId);
    this.#tasks.delete(taskId);
    if (this.#tasks.size === 0) await this.#host.sandboxes.dropSpares();
  }

  async #look(task: DockerTask | undefined): Promise<void> {
    try {
      await task?.refresh();
    } catch (error) {
      // The stream of events ends, too, and everything is looked at when it stands again.
      this.#logger.debug({ error: messageOf(error) }, 'a container can not be looked at');
    }
  }

  #task(taskId: string): DockerTask {
    const task = this.#tasks.get(taskId);
    if (task === undefined) {
      throw new RuntimeError('unknown-task', `This node has nothing of the task ${taskId}.`);
    }
    return task;
  }
}
