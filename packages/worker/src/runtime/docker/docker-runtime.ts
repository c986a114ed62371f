import {
  type Clock,
  type Logger,
  type LogLine,
  type LogOptions,
  type LogPlace,
  type Task,
  OWNER_LABEL,
  predefinedNetworkOf,
} from '@swarm/api';
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
import { allOf } from '../all-of.js';
import { messageOf, RuntimeError } from '../runtime-error.js';
import type { Sandbox, SandboxSpec } from '../sandbox.js';
import { SandboxMembers } from '../sandbox-members.js';
import { containerBody } from './container-body.js';
import { describeEngine } from './docker-description.js';
import { readContainerLog } from './docker-log.js';
import { checkDockerSpec } from './docker-spec.js';
import type { DockerHost } from './docker-host.js';
import { DockerTask } from './docker-task.js';
import { EngineClient } from './engine-client.js';
import { EngineError } from './engine-error.js';
import { EngineEvents } from './engine-events.js';
import { defaultNetwork } from './engine-networks.js';
import { refusal } from './engine-refusal.js';
import type { ContainerSummary, EngineInfo } from './engine-types.js';
import { ImagePuller } from './image-puller.js';
import { findLeft } from './left-containers.js';
import { ownerOf, SANDBOX_LABEL, TASK_LABEL } from './owner.js';
import { removeContainer } from './remove-container.js';
import { Sandboxes } from './sandboxes.js';
import { createTaskContainer } from './task-container.js';

export interface DockerRuntimeOptions {
  /** Unix socket of a Docker Engine (20.10 or newer) or of Podman's service. */
  readonly socketPath: string;
  /** Holds the mark of this node's containers. Created if missing. */
  readonly folder: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  /**
   * Use a local image without asking its registry, as with Docker's
   * `DOCKER_SERVICE_PREFER_OFFLINE_IMAGE=1`. Default false.
   */
  readonly preferLocalImages?: boolean;
}

/**
 * Runs tasks as containers of a Docker Engine on the same host. A task with a network joins a sandbox
 * container that holds its network namespace. The engine stores everything about a task: nothing outside
 * the engine's labels and names survives the daemon.
 */
export class DockerRuntime implements Runtime {
  readonly kind = 'docker';
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #engine: EngineClient;
  readonly #owner: string;
  readonly #puller: ImagePuller;
  readonly #host: DockerHost;
  readonly #sandboxes: Sandboxes;
  readonly #members = new SandboxMembers();
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
    this.#sandboxes = new Sandboxes({ engine, owner: this.#owner, clock, logger, random });
    this.#host = { engine, clock };
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
    return describeEngine(info, (await defaultNetwork(this.#engine)) === 'bridge');
  }

  async list(): Promise<readonly LeftTask[]> {
    await this.#open();
    return [...this.#tasks.values()].map(({ taskId, state, prepared }) => ({
      taskId,
      sandboxId: this.#members.sandboxOf(taskId) ?? taskId,
      state,
      prepared,
    }));
  }

  async listSandboxes(): Promise<readonly string[]> {
    await this.#open();
    return this.#sandboxes.ids;
  }

  async createSandbox(spec: SandboxSpec, signal: AbortSignal): Promise<Sandbox> {
    await this.#open();
    if (spec.hasNoLinks === true && spec.addresses.length > 0) {
      throw new RuntimeError(
        'rejected',
        'It publishes ports, and the userspace mesh of this node cannot reach containers: run the daemon with root and nftables there, or place the service on other nodes.',
      );
    }
    try {
      return await this.#sandboxes.create(spec, signal);
    } catch (error) {
      // When the daemon ends, the next run takes over what exists.
      if (!this.#closed && this.#members.isEmpty(spec.id)) await this.#sandboxes.remove(spec.id);
      throw this.#explained(error, signal);
    }
  }

  async stopSandbox(sandboxId: string, options: StopOptions): Promise<void> {
    await this.#open();
    const tasks = this.#members.tasksOf(sandboxId);
    await allOf(tasks.map((taskId) => this.stop(taskId, options)));
    await this.#sandboxes.remove(sandboxId);
  }

  async removeSandbox(sandboxId: string): Promise<void> {
    await this.#open();
    await allOf(this.#members.tasksOf(sandboxId).map((taskId) => this.remove(taskId)));
    await this.#sandboxes.remove(sandboxId);
    await this.#dropSpares();
  }

  async prepare(task: Task, sandbox: Sandbox, context: PrepareContext): Promise<PreparedTask> {
    await this.#open();
    const known = this.#tasks.get(task.ID);
    if (known !== undefined) return known.prepared;
    checkDockerSpec(task, await this.#engine.version());
    const { node, signal } = context;
    const inSandbox = { node, owner: this.#owner, sandboxId: sandbox.id };
    // Refuse what can be refused before pulling or making anything.
    containerBody(task, { ...inSandbox, networkMode: 'none' });
    const joined = this.#sandboxes.joinable(sandbox.id, this.#members.isEmpty(sandbox.id));
    this.#members.join(sandbox.id, task.ID);
    try {
      const isPulled = await this.#puller.ensure(
        task.Spec.ContainerSpec!.Image,
        task.Spec.RegistryAuth,
        {
          signal,
          waiting: (message) => context.waiting(message),
        },
      );
      if (isPulled) context.waiting('creating its container');
      const networkMode =
        joined === undefined
          ? (predefinedNetworkOf(task.Spec) ?? (await defaultNetwork(this.#engine, signal)))
          : `container:${joined}`;
      const body = containerBody(task, { ...inSandbox, networkMode });
      const id = await createTaskContainer(this.#host, this.#owner, task.Name, body, signal);
      const prepared = new DockerTask(task.ID, id, this.#host);
      this.#tasks.set(task.ID, prepared);
      this.#byContainer.set(id, prepared);
      await prepared.refresh();
      return prepared.prepared;
    } catch (error) {
      await this.#discard(task.ID);
      throw this.#explained(error, signal);
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
    const emptied = this.#members.leave(taskId);
    if (emptied !== undefined) await this.#sandboxes.remove(emptied);
  }

  async remove(taskId: string): Promise<void> {
    await this.#open();
    if (!this.#tasks.has(taskId)) return;
    const emptied = this.#members.leave(taskId);
    await this.#discard(taskId);
    if (emptied !== undefined) await this.#sandboxes.remove(emptied);
    await this.#dropSpares();
  }

  logs(taskId: string, options: LogOptions, place?: LogPlace): AsyncIterable<LogLine> {
    return readContainerLog(this.#engine, this.#task(taskId), options, place);
  }

  pid(taskId: string): number | undefined {
    return this.#tasks.get(taskId)?.pid;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#events.close();
    await this.#sandboxes.close();
    await this.#engine.close();
  }

  /** Adopts what an earlier daemon left, once. If the engine is away, the next call tries again. */
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
    const { sandboxes, tasks } = await findLeft(this.#engine, this.#owner);
    for (const sandbox of sandboxes) await this.#sandboxes.adopt(sandbox);
    const running = new Set(
      sandboxes.filter(({ State }) => State === 'running').map(({ Id }) => Id),
    );
    for (const container of tasks) await this.#adoptTask(container, running);
    for (const id of this.#sandboxes.ids) {
      const container = this.#sandboxes.containerOf(id);
      if (container === undefined || running.has(container)) continue;
      // Its network is gone. Tasks that run in it still have theirs.
      if (this.#members.isEmpty(id)) await this.#sandboxes.remove(id);
    }
    await this.#dropSpares();
  }

  async #adoptTask({ Id, Labels }: ContainerSummary, sandboxes: ReadonlySet<string>) {
    const taskId = Labels?.[TASK_LABEL] ?? '';
    const task = new DockerTask(taskId, Id, this.#host);
    await task.refresh();
    const mode = task.details?.HostConfig.NetworkMode ?? '';
    const [, joined] = /^container:(.*)$/.exec(mode) ?? [];
    // A reboot or an engine restart took its network: prepare again what never ran.
    const stale = task.state === 'prepared' && joined !== undefined && !sandboxes.has(joined);
    if (stale || task.details === undefined) {
      this.#logger.info({ taskId }, 'removing a prepared task whose network is gone');
      await removeContainer(this.#engine, this.#clock, Id);
      return;
    }
    this.#tasks.set(taskId, task);
    this.#byContainer.set(Id, task);
    const sandboxId = Labels?.[SANDBOX_LABEL] ?? taskId;
    if (task.state === 'ended') this.#members.joinEnded(sandboxId, taskId);
    else {
      this.#members.join(sandboxId, taskId);
      this.#sandboxes.adoptBare(sandboxId);
    }
  }

  /** Removes everything of a task except its sandbox. */
  async #discard(taskId: string): Promise<void> {
    const task = this.#tasks.get(taskId);
    if (task !== undefined) {
      await task.remove();
      this.#byContainer.delete(task.containerId);
    }
    this.#tasks.delete(taskId);
    this.#members.forget(taskId);
  }

  async #dropSpares(): Promise<void> {
    if (this.#tasks.size === 0 && this.#sandboxes.ids.length === 0) {
      await this.#sandboxes.dropSpares();
    }
  }

  #explained(error: unknown, signal: AbortSignal): unknown {
    if (signal.aborted) {
      return new RuntimeError('aborted', 'The task is no longer wanted.', { cause: error });
    }
    return error instanceof EngineError ? refusal(error) : error;
  }

  async #look(task: DockerTask | undefined): Promise<void> {
    try {
      await task?.refresh();
    } catch (error) {
      // The event stream ends, too; once it is open again, we look at everything.
      this.#logger.debug({ error: messageOf(error) }, 'cannot inspect a container');
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
