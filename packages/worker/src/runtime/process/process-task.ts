import type { ChildProcess } from 'node:child_process';
import { awaited } from '../awaited.js';
import { settledWithin } from '../settled-within.js';
import { HealthMonitor } from '../health-monitor.js';
import { TaskLog } from '../log/task-log.js';
import type { PreparedTask, StartProgress, StopOptions, TaskEnd } from '../runtime.js';
import { messageOf, RuntimeError } from '../runtime-error.js';
import { pause, signalNumber } from '@swarm/api';
import { runProbe } from './health-probe.js';
import { isAlive, type ProcessIdentity, sendSignal } from './proc.js';
import type { ProcessHost } from './process-host.js';
import { readEnd } from './task-end.js';
import type { TaskFolder, TaskManifest } from './task-folder.js';
import { launchTask } from './task-launch.js';
import { writeProbe } from './task-probe.js';
import { TaskProcesses } from './task-processes.js';

const SIGTERM = 15;
/** Longest wait for the supervisor of a launched task to record its identity. */
const LAUNCH_LIMIT_MS = 10_000;
/** How often to look at a task whose supervisor is not our child, besides inotify. */
const ADOPTED_POLL_MS = 1_000;
/** A prepared task: its process, health, log and end. */
export class ProcessTask {
  readonly manifest: TaskManifest;
  readonly log: TaskLog;
  readonly #folder: TaskFolder;
  readonly #host: ProcessHost;
  readonly #processes: TaskProcesses;
  readonly #exited = awaited<TaskEnd>();
  readonly #unhealthy = awaited<TaskEnd>();
  #process: ProcessIdentity | undefined;
  #supervisor: ProcessIdentity | undefined;
  /** The supervisor is our child: its exit arrives as an event. */
  #ours = false;
  #child: ChildProcess | undefined;
  #state: 'prepared' | 'running' | 'ended' = 'prepared';
  #end: TaskEnd | undefined;
  #launching: Promise<void> | undefined;
  #settling = false;
  #health: HealthMonitor | undefined;
  #isUnhealthy = false;
  #unhealthyTold = false;
  #onHealthy = awaited<void>();
  #progress: StartProgress | undefined;
  #closed = false;

  constructor(manifest: TaskManifest, folder: TaskFolder, host: ProcessHost) {
    this.manifest = manifest;
    this.#folder = folder;
    this.#host = host;
    this.#processes = new TaskProcesses(manifest, host);
    this.log = new TaskLog(folder.path, manifest.logLimitBytes);
  }

  get state(): 'prepared' | 'running' | 'ended' {
    return this.#state;
  }

  /** Older versions made one sandbox for each task. */
  get sandboxId(): string {
    return this.manifest.sandboxId ?? this.manifest.taskId;
  }

  get prepared(): PreparedTask {
    const { taskId, address, ports } = this.manifest;
    return {
      containerId: taskId,
      ...(address === undefined ? {} : { address }),
      ...(ports === undefined ? {} : { ports }),
    };
  }

  get pid(): number | undefined {
    return this.#state === 'running' ? this.#process?.pid : undefined;
  }

  /** Takes over what an earlier daemon started. */
  async adopt(bootId: string): Promise<void> {
    if (!this.#folder.launched) return;
    const sameBoot = this.manifest.bootId === bootId;
    // The daemon may have died between the spawn and the supervisor's first line.
    for (
      const deadline = this.#host.clock.monotonicMs() + LAUNCH_LIMIT_MS;
      sameBoot && this.#folder.readProcesses() === undefined && this.#processes.list().length > 0;
    ) {
      if (this.#host.clock.monotonicMs() > deadline) break;
      await pause(this.#host.clock, 10);
    }
    const processes = this.#folder.readProcesses();
    this.#process = processes?.task;
    this.#supervisor = processes?.supervisor;
    // If it died while no daemon watched, its number may be a stranger's by now.
    const session =
      processes !== undefined && isAlive(processes.task) ? processes.task.pid : undefined;
    this.#processes.begin(session, processes?.supervisor.pid);
    if (!sameBoot) {
      await this.#settle();
      return;
    }
    this.#state = 'running';
    this.#watch();
    this.#check();
    if (!this.#settling) this.#startHealth();
    this.#poll();
  }

  /** Starts the task unless it runs, then waits until it is healthy. */
  async start(progress: StartProgress): Promise<void> {
    this.#progress = progress;
    if (this.#state === 'prepared') {
      this.#launching ??= this.#launch();
      await this.#launching;
    }
    progress.started();
    if (this.#health !== undefined && !this.#health.healthy && this.#state === 'running') {
      progress.waiting('waiting for the health check to pass');
      await Promise.race([this.#onHealthy.promise, this.#exited.promise, this.#unhealthy.promise]);
    }
    this.#progress = undefined;
    if (this.#end !== undefined || this.#isUnhealthy) {
      throw new RuntimeError('ended', 'The task ended before it became healthy.');
    }
  }

  async wait(): Promise<TaskEnd> {
    if (this.#end !== undefined) return this.#end;
    if (this.#unhealthyTold) return this.#exited.promise;
    return Promise.race([
      this.#unhealthy.promise.then((end) => this.#tell(end)),
      this.#exited.promise,
    ]);
  }

  /** Ends everything of the task and releases what it held of the kernel. */
  async stop(options: StopOptions): Promise<void> {
    // A start in progress finishes first, or its process would be missed.
    await this.#launching?.catch(() => {});
    this.#health?.close();
    if (this.#state === 'running' && !this.#settling && this.#process !== undefined) {
      const signal = signalNumber(options.signal || 'SIGTERM') ?? SIGTERM;
      if (options.graceMs > 0) {
        if (isAlive(this.#process)) sendSignal(this.#process.pid, signal);
        await settledWithin(this.#host.clock, this.#exited.promise, options.graceMs);
      }
    }
    // From here on its exit is awaited, even by a process that has nothing else to do.
    this.#child?.ref();
    await this.#processes.killAll();
    if (this.#state === 'running') {
      this.#check();
      await this.#exited.promise;
    }
    await this.#host.cgroups.remove(this.manifest.taskId);
    if (this.#state === 'prepared')
      this.#finish({ kind: 'exit', code: -1, error: 'never started' });
  }

  /** Lets go of the task, which keeps running. */
  close(): void {
    this.#closed = true;
    this.#health?.close();
  }

  async #launch(): Promise<void> {
    const logs = { stdout: this.log.path('stdout'), stderr: this.log.path('stderr') };
    const launched = await launchTask(this.manifest, this.#folder, logs, this.#host);
    const { supervisor: child, started } = launched;
    this.#child = child;
    this.#ours = true;
    this.#state = 'running';
    const processes = this.#folder.readProcesses();
    this.#process = processes?.task;
    this.#supervisor = processes?.supervisor;
    this.#processes.begin(processes?.task.pid, processes?.supervisor.pid);
    if (child.exitCode !== null || child.signalCode !== null || !started) {
      await this.#settle();
      return;
    }
    child.once('exit', () => this.#onSupervisorExit());
    this.#watch();
    this.#startHealth();
  }

  #startHealth(): void {
    const { health } = this.manifest;
    if (health === undefined || this.#process === undefined) return;
    const program = writeProbe(this.manifest, this.#process, this.#folder, this.#host);
    this.#health = new HealthMonitor(
      health,
      (timeoutMs) => runProbe(program, timeoutMs, this.#host.clock),
      {
        healthy: () => this.#onHealthy.resolve(),
        unhealthy: (message) => {
          this.#isUnhealthy = true;
          this.#unhealthy.resolve({ kind: 'unhealthy', message });
        },
        waiting: (message) => this.#progress?.waiting(message),
      },
      this.#host.clock,
    );
  }

  #tell(end: TaskEnd): TaskEnd {
    this.#unhealthyTold = true;
    return end;
  }

  #watch(): void {
    this.#host.recorder.add(this.log, this.#folder.path, () => this.#check());
  }

  #poll(): void {
    if (this.#state !== 'running' || this.#closed) return;
    this.#check();
    this.#host.clock.setTimeout(() => this.#poll(), ADOPTED_POLL_MS);
  }

  /** Checks whether the task has ended; for a supervisor of ours, the exit event says so. */
  #check(): void {
    if (this.#state !== 'running' || this.#settling || this.#closed) return;
    if (this.#ours) return;
    const supervised = this.#supervisor !== undefined && isAlive(this.#supervisor);
    // The exit code is the last thing a supervisor writes; the process may take a moment to be gone.
    if (supervised && this.#folder.readExitCode() === undefined) return;
    this.#onSupervisorExit();
  }

  #onSupervisorExit(): void {
    if (this.#settling || this.#closed || this.#state !== 'running') return;
    const orphaned =
      this.#folder.readExitCode() === undefined &&
      this.#process !== undefined &&
      isAlive(this.#process);
    if (orphaned) {
      // Somebody killed only the supervisor. The task is fine; only its exit code will be lost.
      if (this.#ours) {
        this.#ours = false;
        this.#poll();
      }
      return;
    }
    void this.#settle();
  }

  /** The first process is gone: ends the rest, as the end of a container does, and reports it. */
  async #settle(): Promise<void> {
    this.#settling = true;
    this.#health?.close();
    const end = readEnd(this.manifest, this.#folder, this.#host, this.#process !== undefined);
    try {
      await this.#processes.killAll();
      this.#finish(end);
    } catch (error) {
      // Report its end all the same; `stop` tries again to kill the rest and reports that.
      this.#host.logger.error(
        { taskId: this.manifest.taskId, error: messageOf(error) },
        'could not kill all processes of a task',
      );
      this.#finish(end);
    }
  }

  #finish(end: TaskEnd): void {
    this.#state = 'ended';
    this.#host.recorder.end(this.log);
    this.#end = end;
    this.#exited.resolve(end);
  }
}
