import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger, LogLine, LogOptions, LogPlace, Task } from '@swarm/api';
import { allOf } from '../all-of.js';
import { readLog } from '../log/log-reader.js';
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
import type { Sandbox, SandboxSpec } from '../sandbox.js';
import { SandboxMembers } from '../sandbox-members.js';
import { runsCallPrograms } from './call-program.js';
import type { CgroupLimits } from './cgroup.js';
import { readAccounts } from './host-user.js';
import { PortPool } from './port-pool.js';
import { bootId } from './proc.js';
import { describeHost } from './process-description.js';
import { type ProcessHost, type ProcessRuntimeOptions, processHost } from './process-host.js';
import { planTask, taskLimits } from './process-plan.js';
import { ProcessSandboxes } from './process-sandboxes.js';
import { checkProcessSpec } from './process-spec.js';
import { ProcessTask } from './process-task.js';
import { listTaskFolders, MANIFEST_VERSION, TaskFolder, type TaskManifest } from './task-folder.js';
import { TaskUids } from './task-uids.js';

/**
 * Runs tasks as plain processes of the host (image `host`). With root, each task has a cgroup, and its
 * sandbox has a network namespace if it is attached to a network. Without root, tasks share the host's
 * network, and PORT and HOST tell them where to listen.
 */
export class ProcessRuntime implements Runtime {
  readonly kind = 'process';
  readonly #folder: string;
  readonly #logger: Logger;
  readonly #privileged: boolean;
  readonly #host: ProcessHost;
  readonly #sandboxes: ProcessSandboxes;
  readonly #members = new SandboxMembers();
  readonly #uids: TaskUids;
  readonly #tasks = new Map<string, ProcessTask>();
  readonly #bootId = bootId();
  #opened: Promise<void> | undefined;

  constructor(options: ProcessRuntimeOptions) {
    this.#folder = join(options.folder, 'tasks');
    this.#logger = options.logger;
    this.#privileged = options.privileged ?? process.getuid?.() === 0;
    this.#uids = new TaskUids(options.random);
    this.#host = processHost(options, this.#privileged);
    this.#sandboxes = new ProcessSandboxes({
      folder: join(options.folder, 'sandboxes'),
      namespaces: this.#host.namespaces,
      ports: new PortPool(options.random),
      privileged: this.#privileged,
      bootId: this.#bootId,
    });
  }

  async describe(): Promise<RuntimeDescription> {
    return describeHost(this.#privileged);
  }

  async list(): Promise<readonly LeftTask[]> {
    await this.#open();
    return [...this.#tasks].map(([taskId, task]) => ({
      taskId,
      sandboxId: task.sandboxId,
      state: task.state,
      prepared: task.prepared,
    }));
  }

  async listSandboxes(): Promise<readonly string[]> {
    await this.#open();
    return this.#sandboxes.ids;
  }

  async createSandbox(spec: SandboxSpec, signal: AbortSignal): Promise<Sandbox> {
    await this.#open();
    if (signal.aborted) throw unwanted();
    return this.#sandboxes.create(spec);
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
  }

  async prepare(task: Task, sandbox: Sandbox, context: PrepareContext): Promise<PreparedTask> {
    await this.#open();
    const known = this.#tasks.get(task.ID);
    if (known !== undefined) return known.prepared;
    checkProcessSpec(task, this.#privileged);
    const record = this.#sandboxes.get(sandbox.id);
    if (record === undefined) {
      throw new RuntimeError(
        'failed',
        `The sandbox ${sandbox.id} does not exist: create it first.`,
      );
    }
    const folder = new TaskFolder(this.#folder, task.ID);
    this.#members.join(sandbox.id, task.ID);
    let ownUid: number | undefined;
    try {
      const plan = planTask(task, {
        node: context.node,
        tools: this.#host.tools,
        accounts: readAccounts,
        privileged: this.#privileged,
        bootId: this.#bootId,
        daemonOomScore: Number(readFileSync('/proc/self/oom_score_adj', 'latin1')),
        takeUid: () => {
          ownUid = this.#uids.take(readAccounts());
          return ownUid;
        },
        sandbox: record,
      });
      folder.create();
      const hasCgroup = this.#privileged && this.#host.cgroups.available;
      const cgroupFiles = hasCgroup
        ? this.#host.cgroups.create(task.ID, this.#withOwnProcesses(taskLimits(task)))
        : [];
      const manifest = {
        ...plan,
        cgroupFiles,
        hasCgroup,
        isolated: this.#privileged,
        ownsUser: ownUid !== undefined,
      };
      if (context.signal.aborted) throw unwanted();
      folder.writeManifest(manifest);
      this.#tasks.set(task.ID, new ProcessTask(manifest, folder, this.#host));
      return this.#tasks.get(task.ID)!.prepared;
    } catch (error) {
      if (ownUid !== undefined) this.#uids.release(ownUid);
      await this.#discard(task.ID);
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
    const emptied = this.#members.leave(taskId);
    if (emptied !== undefined) await this.#sandboxes.remove(emptied);
  }

  async remove(taskId: string): Promise<void> {
    await this.#open();
    const task = this.#tasks.get(taskId);
    await this.stop(taskId, { graceMs: 0 });
    this.#tasks.delete(taskId);
    await this.#discard(taskId);
    // Last: nothing of the task may be left when another one gets its number.
    const { user, ownsUser } = task?.manifest ?? {};
    if (user !== undefined && ownsUser === true) this.#uids.release(user.uid);
  }

  logs(taskId: string, options: LogOptions, place?: LogPlace): AsyncIterable<LogLine> {
    return readLog(this.#task(taskId).log, taskId, options, place);
  }

  pid(taskId: string): number | undefined {
    return this.#tasks.get(taskId)?.pid;
  }

  async close(): Promise<void> {
    for (const task of this.#tasks.values()) task.close();
    this.#host.recorder.close();
    this.#host.view.close();
    this.#host.cgroups.close();
  }

  /** Room for our own processes in a task: pid 1, and `mount` if a shell starts the task. */
  #withOwnProcesses(limits: CgroupLimits): CgroupLimits {
    if (limits.pids === undefined) return limits;
    return { ...limits, pids: Math.max(limits.pids + 1, this.#host.usesCalls ? 2 : 3) };
  }

  #open(): Promise<void> {
    this.#opened ??= this.#adopt();
    return this.#opened;
  }

  /** Adopts what an earlier daemon left, and removes what it left half made. */
  async #adopt(): Promise<void> {
    if (this.#host.usesCalls && !runsCallPrograms(this.#folder)) {
      this.#host.usesCalls = false;
      this.#logger.info(
        { folder: this.#folder },
        'cannot run programs from this folder (noexec, or a kernel before 5.9?); tasks start through a shell, which takes longer',
      );
    }
    // Made now, so that the first task does not wait for it; whoever needs it gets the error.
    if (this.#privileged) this.#host.view.path().catch(() => {});
    await this.#sandboxes.adopt();
    for (const taskId of listTaskFolders(this.#folder)) {
      const folder = new TaskFolder(this.#folder, taskId);
      const manifest = folder.readManifest();
      if (manifest === undefined) {
        this.#logger.info({ taskId }, 'removing a task that was never fully prepared');
        await this.#clear(taskId);
        continue;
      }
      const task = new ProcessTask(manifest, folder, this.#host);
      // Namespaces and cgroups do not survive a reboot, so prepare again a task that never ran. Also one that an
      // earlier version prepared, which would have given it all of root.
      const isOutdated = manifest.bootId !== this.#bootId || manifest.version !== MANIFEST_VERSION;
      if (isOutdated && !folder.launched) {
        await this.#clear(taskId);
        continue;
      }
      if (manifest.user !== undefined && manifest.ownsUser === true)
        this.#uids.keep(manifest.user.uid);
      await task.adopt(this.#bootId);
      this.#tasks.set(taskId, task);
      this.#adoptSandbox(manifest, task);
    }
  }

  /** Removes a task that never ran, and the parts of its sandbox that an older version made. */
  async #clear(taskId: string): Promise<void> {
    await this.#discard(taskId);
    if (this.#sandboxes.get(taskId) === undefined) await this.#sandboxes.remove(taskId);
  }

  /** Takes over a task's sandbox; older versions made it with the task and kept no record. */
  #adoptSandbox(manifest: TaskManifest, { sandboxId, state }: ProcessTask): void {
    const { taskId, bootId, netns, address, ports } = manifest;
    if (state === 'ended') this.#members.joinEnded(sandboxId, taskId);
    else this.#members.join(sandboxId, taskId);
    if (manifest.sandboxId !== undefined || state === 'ended') return;
    this.#sandboxes.keep({
      id: sandboxId,
      bootId,
      ...(netns === undefined ? {} : { netns }),
      ...(address === undefined || ports === undefined
        ? {}
        : { ownPorts: { address, ports, wanted: [] } }),
    });
  }

  async #discard(taskId: string): Promise<void> {
    try {
      if (this.#privileged) {
        await this.#host.cgroups.killAll(taskId);
        await this.#host.cgroups.remove(taskId);
      }
    } catch (error) {
      this.#logger.error({ taskId, error: messageOf(error) }, 'a task left something behind');
      throw error;
    } finally {
      new TaskFolder(this.#folder, taskId).remove();
      this.#members.forget(taskId);
    }
  }

  #task(taskId: string): ProcessTask {
    const task = this.#tasks.get(taskId);
    if (task === undefined) {
      throw new RuntimeError('unknown-task', `This node has nothing of the task ${taskId}.`);
    }
    return task;
  }
}

function unwanted(): RuntimeError {
  return new RuntimeError('aborted', 'The task is no longer wanted.');
}
