import type { LogLine, LogOptions, Task } from '@swarm/api';
import type { Sandbox, SandboxSpec } from '../../src/runtime/sandbox.js';
import { RuntimeError } from '../../src/runtime/runtime-error.js';
import type {
  LeftTask,
  PrepareContext,
  PreparedTask,
  Runtime,
  RuntimeDescription,
  StartProgress,
  StopOptions,
  TaskEnd,
  TaskObjects,
} from '../../src/runtime/runtime.js';

interface FakeTask {
  state: 'prepared' | 'running' | 'ended';
  readonly ends: ((end: TaskEnd) => void)[];
  end?: TaskEnd;
}

/** A runtime whose tasks do what the test says. */
export class FakeRuntime implements Runtime {
  readonly kind = 'process';
  readonly tasks = new Map<string, FakeTask>();
  readonly sandboxes = new Set<string>();
  /** Every call, in order: `prepare t1`. */
  readonly calls: string[] = [];
  /** Makes the next prepare, start or stop of a task fail or wait. */
  readonly onSandbox = new Map<string, () => Promise<void>>();
  readonly onPrepare = new Map<string, () => Promise<PreparedTask | undefined>>();
  readonly onStart = new Map<string, (progress: StartProgress) => Promise<void>>();
  readonly onStop = new Map<string, () => Promise<void>>();
  /** What a task saw of the cluster's objects when it was prepared last. */
  readonly objects = new Map<string, TaskObjects>();
  /** With which credentials it was prepared last. */
  readonly auths = new Map<string, string | undefined>();
  lines: LogLine[] = [];
  /** What it says of its host; the rest is `worker-1` with 2 CPUs. */
  description: Partial<RuntimeDescription> = {};
  /** Calls of `prepare` under way now, and the most there ever were. */
  preparing = 0;
  mostPreparing = 0;

  async describe(): Promise<RuntimeDescription> {
    return {
      kind: this.kind,
      hostname: 'worker-1',
      platform: { Architecture: 'x86_64', OS: 'linux' },
      resources: { NanoCPUs: 2e9, MemoryBytes: 2 ** 30 },
      engineVersion: '1',
      capabilities: ['host-commands'],
      ...this.description,
    };
  }

  async list(): Promise<readonly LeftTask[]> {
    return [...this.tasks].map(([taskId, { state }]) => ({
      taskId,
      sandboxId: taskId,
      state,
      prepared: { containerId: `c-${taskId}` },
    }));
  }

  async listSandboxes(): Promise<readonly string[]> {
    return [...this.sandboxes];
  }

  async createSandbox({ id, addresses }: SandboxSpec): Promise<Sandbox> {
    await this.onSandbox.get(id)?.();
    this.sandboxes.add(id);
    return { id, ...(addresses.length === 0 ? {} : { netns: `/run/netns/${id}` }) };
  }

  async stopSandbox(id: string, options: StopOptions): Promise<void> {
    await this.stop(id, options);
    this.sandboxes.delete(id);
  }

  async removeSandbox(id: string): Promise<void> {
    await this.remove(id);
    this.sandboxes.delete(id);
  }

  async prepare(task: Task, sandbox: Sandbox, context: PrepareContext): Promise<PreparedTask> {
    this.calls.push(`prepare ${task.ID}`);
    this.objects.set(task.ID, context.objects);
    this.auths.set(task.ID, task.Spec.RegistryAuth);
    this.preparing += 1;
    this.mostPreparing = Math.max(this.mostPreparing, this.preparing);
    try {
      const special = await this.onPrepare.get(task.ID)?.();
      if (!this.sandboxes.has(sandbox.id)) throw new RuntimeError('failed', 'no sandbox');
      if (!this.tasks.has(task.ID)) this.tasks.set(task.ID, { state: 'prepared', ends: [] });
      return special ?? { containerId: `c-${task.ID}` };
    } finally {
      this.preparing -= 1;
    }
  }

  async start(taskId: string, progress: StartProgress): Promise<void> {
    this.calls.push(`start ${taskId}`);
    const task = this.#task(taskId);
    if (task.state === 'prepared') task.state = 'running';
    progress.started();
    await this.onStart.get(taskId)?.(progress);
    if (task.state === 'ended') throw new RuntimeError('ended', 'it ended');
  }

  async wait(taskId: string): Promise<TaskEnd> {
    const task = this.#task(taskId);
    if (task.end !== undefined && task.state === 'ended') return task.end;
    return new Promise((resolve) => {
      task.ends.push(resolve);
    });
  }

  async stop(taskId: string, options: StopOptions): Promise<void> {
    this.calls.push(`stop ${taskId} ${options.graceMs} ${options.signal ?? 'default'}`);
    await this.onStop.get(taskId)?.();
    if (this.tasks.get(taskId)?.state === 'running') {
      this.exit(taskId, { kind: 'exit', code: 143, signal: 'SIGTERM' });
    }
  }

  async remove(taskId: string): Promise<void> {
    this.calls.push(`remove ${taskId}`);
    this.tasks.delete(taskId);
  }

  async *logs(_taskId: string, _options: LogOptions): AsyncGenerator<LogLine> {
    yield* this.lines;
  }

  pid(taskId: string): number | undefined {
    return this.tasks.get(taskId)?.state === 'running' ? 4242 : undefined;
  }

  async close(): Promise<void> {}

  /** The task ends, or gets unhealthy. */
  exit(taskId: string, end: TaskEnd): void {
    const task = this.#task(taskId);
    if (end.kind === 'exit') task.state = 'ended';
    task.end = end;
    for (const resolve of task.ends.splice(0)) resolve(end);
  }

  #task(taskId: string): FakeTask {
    const task = this.tasks.get(taskId);
    if (task === undefined) throw new RuntimeError('unknown-task', `nothing of ${taskId}`);
    return task;
  }
}
