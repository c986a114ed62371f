import { readFileSync } from 'node:fs';
import { hostname, arch, cpus, networkInterfaces, totalmem } from 'node:os';
import { join } from 'node:path';
import {
  type Clock,
  isLoopback,
  type Logger,
  type LogLine,
  type LogOptions,
  parseIpAddress,
  type PortConfig,
  type Task,
} from '@swarm/api';
import { LogRecorder } from '../log/log-recorder.js';
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
import { hostPorts, sharedAttachments, taskAttachments } from '../task-ports.js';
import { hasCallPrograms, runsCallPrograms } from './call-program.js';
import { type CgroupLimits, Cgroups } from './cgroup.js';
import { HostTools } from './host-tools.js';
import { readAccounts } from './host-user.js';
import { HostView } from './host-view.js';
import { lastCapability } from './launch-calls.js';
import { NetNamespaces } from './net-namespaces.js';
import { PortPool } from './port-pool.js';
import { bootId } from './proc.js';
import { type OwnPorts, planTask, taskLimits } from './process-plan.js';
import { checkProcessSpec } from './process-spec.js';
import { type ProcessHost, ProcessTask } from './process-task.js';
import { listTaskFolders, MANIFEST_VERSION, TaskFolder } from './task-folder.js';
import { TaskUids } from './task-uids.js';

const ENGINE_VERSION = '0.1.0';
/**
 * Where tasks without root listen while it is not known where others reach the node. They share the
 * host's network and are told apart by their ports.
 */
const SHARED_ADDRESS = '127.0.0.1';

export interface ProcessRuntimeOptions {
  /** Where tasks' files are kept: scripts, logs, exit codes. Made when missing. */
  readonly folder: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  /** Namespaces, cgroups and other users; default: whether the daemon is root. */
  readonly privileged?: boolean;
  /** Folders and sockets that no task may see, besides `folder`; for tasks with root only. */
  readonly hiddenFolders?: readonly string[];
  readonly hiddenSockets?: readonly string[];
  /** Starts tasks with root without a shell; default: where the machine can. */
  readonly usesCalls?: boolean;
  /** Folder of all tasks below the root of each cgroup hierarchy. Default `swarm`. */
  readonly cgroupParent?: string;
}

/**
 * Runs tasks as plain processes of the host (image `host`). With root each has a cgroup, and a network
 * namespace where it is attached to a network; without, tasks share the host's network and are told by
 * PORT and HOST where to listen.
 */
export class ProcessRuntime implements Runtime {
  readonly kind = 'process';
  readonly #folder: string;
  readonly #logger: Logger;
  readonly #privileged: boolean;
  readonly #host: ProcessHost;
  readonly #ports: PortPool;
  readonly #uids: TaskUids;
  readonly #tasks = new Map<string, ProcessTask>();
  readonly #bootId = bootId();
  #opened: Promise<void> | undefined;

  constructor(options: ProcessRuntimeOptions) {
    this.#folder = join(options.folder, 'tasks');
    this.#logger = options.logger;
    this.#privileged = options.privileged ?? process.getuid?.() === 0;
    this.#ports = new PortPool(options.random);
    this.#uids = new TaskUids(options.random);
    const tools = new HostTools();
    this.#host = {
      clock: options.clock,
      logger: options.logger,
      cgroups: new Cgroups(options.cgroupParent ?? 'swarm', options.clock),
      namespaces: new NetNamespaces(() => tools.path('ip', 'iproute2')),
      tools,
      usesCalls: this.#privileged && (options.usesCalls ?? hasCallPrograms()),
      lastCapability: lastCapability(),
      view: new HostView(
        {
          folders: [options.folder, ...(options.hiddenFolders ?? [])],
          sockets: options.hiddenSockets ?? [],
        },
        tools,
      ),
      recorder: new LogRecorder(options.clock, (error) =>
        options.logger.warn({ error: messageOf(error) }, 'the times of a log could not be written'),
      ),
    };
  }

  async describe(): Promise<RuntimeDescription> {
    const architecture: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' };
    return {
      kind: this.kind,
      hostname: hostname(),
      platform: { Architecture: architecture[arch()] ?? arch(), OS: 'linux' },
      resources: { NanoCPUs: cpus().length * 1e9, MemoryBytes: totalmem() },
      engineVersion: ENGINE_VERSION,
    };
  }

  async list(): Promise<readonly LeftTask[]> {
    this.#opened ??= this.#open();
    await this.#opened;
    return [...this.#tasks].map(([taskId, task]) => ({
      taskId,
      state: task.state,
      prepared: task.prepared,
    }));
  }

  async prepare(task: Task, context: PrepareContext): Promise<PreparedTask> {
    await this.list();
    const known = this.#tasks.get(task.ID);
    if (known !== undefined) {
      const { address, ports } = known.prepared;
      if (address !== undefined) await attachShared(task, context, address, ports ?? []);
      return known.prepared;
    }
    checkProcessSpec(task, this.#privileged);
    const folder = new TaskFolder(this.#folder, task.ID);
    const ownPorts = await this.#takePorts(task, context.node.address);
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
        ...(ownPorts === undefined ? {} : { ownPorts }),
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
      await this.#attach(task, context, manifest.netns, ownPorts);
      if (context.signal.aborted)
        throw new RuntimeError('aborted', 'The task is not wanted any more.');
      folder.writeManifest(manifest);
      this.#tasks.set(task.ID, new ProcessTask(manifest, folder, this.#host));
      return this.#tasks.get(task.ID)!.prepared;
    } catch (error) {
      for (const port of ownPorts?.ports ?? []) this.#ports.release(port.TargetPort);
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
    await this.#tasks.get(taskId)?.stop(options);
  }

  async remove(taskId: string): Promise<void> {
    await this.list();
    const task = this.#tasks.get(taskId);
    await task?.stop({ graceMs: 0 });
    for (const port of task?.manifest.ports ?? []) this.#ports.release(port.TargetPort);
    this.#tasks.delete(taskId);
    await this.#discard(taskId);
    // Last: nothing of the task may be left when another gets its number.
    const { user, ownsUser } = task?.manifest ?? {};
    if (user !== undefined && ownsUser === true) this.#uids.release(user.uid);
  }

  logs(taskId: string, options: LogOptions): AsyncIterable<LogLine> {
    return readLog(this.#task(taskId).log, taskId, options);
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

  /** Room for what is ours in a task: pid 1, and `mount` where a shell starts the task. */
  #withOwnProcesses(limits: CgroupLimits): CgroupLimits {
    if (limits.pids === undefined) return limits;
    return { ...limits, pids: Math.max(limits.pids + 1, this.#host.usesCalls ? 2 : 3) };
  }

  /** Adopts what an earlier daemon left, and clears away what it left half made. */
  async #open(): Promise<void> {
    if (this.#host.usesCalls && !runsCallPrograms(this.#folder)) {
      this.#host.usesCalls = false;
      this.#logger.info(
        { folder: this.#folder },
        'programs can not be run from this folder (noexec, or a kernel before 5.9?), so tasks start through a shell, which takes longer',
      );
    }
    // Made now, so that the first task does not wait for it; who needs it hears if it can not be.
    if (this.#privileged) this.#host.view.path().catch(() => {});
    for (const taskId of listTaskFolders(this.#folder)) {
      const folder = new TaskFolder(this.#folder, taskId);
      const manifest = folder.readManifest();
      if (manifest === undefined) {
        this.#logger.info({ taskId }, 'removing a task that was never fully prepared');
        await this.#discard(taskId);
        continue;
      }
      const task = new ProcessTask(manifest, folder, this.#host);
      // Namespaces and cgroups do not survive a boot: a task that never ran is prepared anew. So is one
      // that an earlier version prepared, which would have given it all of root.
      const isOutdated = manifest.bootId !== this.#bootId || manifest.version !== MANIFEST_VERSION;
      if (isOutdated && !folder.launched) {
        await this.#discard(taskId);
        continue;
      }
      for (const port of manifest.ports ?? []) this.#ports.keep(port.TargetPort);
      if (manifest.user !== undefined && manifest.ownsUser === true)
        this.#uids.keep(manifest.user.uid);
      await task.adopt(this.#bootId);
      this.#tasks.set(taskId, task);
    }
  }

  async #attach(
    task: Task,
    context: PrepareContext,
    netns: string | undefined,
    ownPorts: OwnPorts | undefined,
  ): Promise<void> {
    if (ownPorts !== undefined) {
      await attachShared(task, context, ownPorts.address, ownPorts.ports);
      return;
    }
    const attachments = taskAttachments(task);
    if (netns === undefined || attachments.length === 0) return;
    await this.#host.namespaces.add(netns);
    const path = this.#host.namespaces.path(netns);
    await context.network.attach({
      taskId: task.ID,
      attachments,
      netns: path,
      hostPorts: hostPorts(task),
    });
  }

  /** Ports of the host for a task that can not have a network of its own: one for each target. */
  async #takePorts(task: Task, nodeAddress?: string): Promise<OwnPorts | undefined> {
    if (this.#privileged || task.Endpoint.Ports.length === 0) return undefined;
    const chosen = new Map<number, number>();
    for (const { TargetPort } of task.Endpoint.Ports) {
      if (!chosen.has(TargetPort)) chosen.set(TargetPort, await this.#ports.take());
    }
    return {
      address: sharedAddress(nodeAddress),
      ports: task.Endpoint.Ports.map((port) => ({
        ...port,
        TargetPort: chosen.get(port.TargetPort)!,
      })),
      wanted: task.Endpoint.Ports.map((port) => port.TargetPort),
    };
  }

  async #discard(taskId: string): Promise<void> {
    try {
      if (this.#privileged) {
        await this.#host.cgroups.killAll(taskId);
        await this.#host.cgroups.remove(taskId);
        await this.#host.namespaces.remove(`swarm-${taskId}`);
      }
    } catch (error) {
      this.#logger.error({ taskId, error: messageOf(error) }, 'a task left something behind');
      throw error;
    } finally {
      new TaskFolder(this.#folder, taskId).remove();
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

/** The node's address, where other nodes look for its tasks, if this host has it. */
function sharedAddress(nodeAddress: string | undefined): string {
  const address = parseIpAddress(nodeAddress);
  if (address === undefined) return SHARED_ADDRESS;
  const isHere = Object.values(networkInterfaces()).some((list) =>
    list?.some((one) => parseIpAddress(one.address) === address),
  );
  return isHere || isLoopback(address) ? address : SHARED_ADDRESS;
}

/** Tells the mesh where a task without a namespace of its own listens. */
async function attachShared(
  task: Task,
  context: PrepareContext,
  address: string,
  ports: readonly PortConfig[],
): Promise<void> {
  const attachments = sharedAttachments(task, address);
  if (attachments.length === 0) return;
  await context.network.attach({
    taskId: task.ID,
    attachments,
    netns: '',
    hostPorts: hostPorts({ ...task, Endpoint: { Ports: ports } }),
  });
}
