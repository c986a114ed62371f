import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import type { Clock, Logger } from '@swarm/api';
import { delay } from '../delay.js';
import { HealthMonitor } from '../health-monitor.js';
import type { LogRecorder } from '../log/log-recorder.js';
import { TaskLog } from '../log/task-log.js';
import type { PreparedTask, StartProgress, StopOptions, TaskEnd } from '../runtime.js';
import { messageOf, RuntimeError } from '../runtime-error.js';
import { signalName, signalNumber } from '../signals.js';
import type { Cgroups } from './cgroup.js';
import { runProbe } from './health-probe.js';
import { withoutInherited } from './inherited-files.js';
import type { HostTools } from './host-tools.js';
import type { HostView } from './host-view.js';
import { launchProgram, shellProgram } from './launch-calls.js';
import {
  entryScript,
  launchScript,
  probeScript,
  SCRIPT_FDS,
  SETUP_FAILED_CODE,
} from './launch-script.js';
import type { NetNamespaces } from './net-namespaces.js';
import { findProcesses, isAlive, parentOf, type ProcessIdentity, sendSignal } from './proc.js';
import { TASK_ID_VARIABLE } from './process-plan.js';
import { explainAccess } from './task-access.js';
import {
  EXIT_NAME,
  PIDS_NAME,
  PROBE_NAME,
  type TaskFolder,
  type TaskManifest,
} from './task-folder.js';

const SIGKILL = 9;
const SIGTERM = 15;
/** Longest wait for the supervisor of a launched task to write down who it is. */
const LAUNCH_LIMIT_MS = 10_000;
/** How often a task whose supervisor is no child of ours is looked at, besides inotify. */
const ADOPTED_POLL_MS = 1_000;
/** A program opens its files itself; the pipe is {@link SCRIPT_FDS}' `started`. */
const PROGRAM_STDIO = ['ignore', 'ignore', 'ignore', 'pipe'] as const;
/** Shell's codes for "can not be executed" and "not found". */
const EXEC_FAILED_CODES = new Set([126, 127]);

/** What all tasks of a runtime share. */
export interface ProcessHost {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly cgroups: Cgroups;
  readonly namespaces: NetNamespaces;
  readonly view: HostView;
  /** Whether isolated tasks are started by a program of system calls, without a shell. */
  usesCalls: boolean;
  readonly lastCapability: number;
  readonly tools: HostTools;
  readonly recorder: LogRecorder;
}

interface Awaited<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
}

/** One task that was prepared: its process, health, log and end. */
export class ProcessTask {
  readonly manifest: TaskManifest;
  readonly log: TaskLog;
  readonly #folder: TaskFolder;
  readonly #host: ProcessHost;
  readonly #exited = awaited<TaskEnd>();
  readonly #unhealthy = awaited<TaskEnd>();
  #process: ProcessIdentity | undefined;
  #supervisor: ProcessIdentity | undefined;
  /** The supervisor is our child: its exit comes as an event. */
  #ours = false;
  #child: ChildProcess | undefined;
  #state: 'prepared' | 'running' | 'ended' = 'prepared';
  #end: TaskEnd | undefined;
  /**
   * The task's session, while its members can not be strangers: the kernel gives the number to nobody
   * else as long as one of them lives, so it means nothing any more once all were killed.
   */
  #session: number | undefined;
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
      sameBoot && this.#folder.readProcesses() === undefined && this.#processes().length > 0;
    ) {
      if (this.#host.clock.monotonicMs() > deadline) break;
      await delay(this.#host.clock, 10);
    }
    const processes = this.#folder.readProcesses();
    this.#process = processes?.task;
    this.#supervisor = processes?.supervisor;
    // If it died while no daemon looked, its number may be a stranger's by now.
    if (processes !== undefined && isAlive(processes.task)) this.#session = processes.task.pid;
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

  /** Starts it where it does not run, then waits until it is healthy. */
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
      throw new RuntimeError('ended', 'The task ended before it was healthy.');
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

  /** Ends everything of the task and gives back what it held of the kernel. */
  async stop(options: StopOptions): Promise<void> {
    // A start that is under way comes to its end first, or its process would be missed.
    await this.#launching?.catch(() => {});
    this.#health?.close();
    if (this.#state === 'running' && !this.#settling && this.#process !== undefined) {
      const signal = signalNumber(options.signal || 'SIGTERM') ?? SIGTERM;
      if (options.graceMs > 0) {
        if (isAlive(this.#process)) sendSignal(this.#process.pid, signal);
        await this.#endWithin(options.graceMs);
      }
    }
    // Its exit is awaited from here on, also by a process that has nothing else to do.
    this.#child?.ref();
    await this.#killAll();
    if (this.#state === 'running') {
      this.#check();
      await this.#exited.promise;
    }
    await this.#host.cgroups.remove(this.manifest.taskId);
    if (this.#state === 'prepared')
      this.#finish({ kind: 'exit', code: -1, error: 'never started' });
  }

  /** Lets go; the task keeps running. */
  close(): void {
    this.#closed = true;
    this.#health?.close();
  }

  async #launch(): Promise<void> {
    const { manifest } = this;
    const usesCalls = manifest.isolated === true && this.#host.usesCalls;
    const logs = { stdout: this.log.path('stdout'), stderr: this.log.path('stderr') };
    const [program, ...args] = usesCalls ? await this.#program(logs) : await this.#command();
    const files = usesCalls
      ? { stdio: PROGRAM_STDIO, close() {} }
      : this.#folder.openFiles(this.#script(), entryScript(manifest.env), logs, manifest.user);
    let child: ChildProcess;
    try {
      const options = {
        detached: true,
        cwd: '/',
        // A task's own variables must not reach programs that run with root's rights.
        env: manifest.isolated === true ? {} : { ...manifest.env },
      };
      child = usesCalls
        ? spawn(program!, args, { ...options, stdio: [...files.stdio] })
        : withoutInherited(files.stdio, (stdio) => spawn(program!, args, { ...options, stdio }));
    } finally {
      files.close();
    }
    const pipe = child.stdio[SCRIPT_FDS.started] as Readable;
    const started = await new Promise<boolean>((resolve, reject) => {
      child.once('error', (error) =>
        reject(new RuntimeError('failed', `The task could not be started: ${error.message}.`)),
      );
      pipe.once('data', () => resolve(true));
      child.once('exit', () => resolve(false));
    });
    pipe.destroy();
    child.unref();
    this.#child = child;
    this.#ours = true;
    this.#state = 'running';
    const processes = this.#folder.readProcesses();
    this.#process = processes?.task;
    this.#supervisor = processes?.supervisor;
    this.#session = processes?.task.pid;
    if (child.exitCode !== null || child.signalCode !== null || !started) {
      await this.#settle();
      return;
    }
    child.once('exit', () => this.#onSupervisorExit());
    this.#watch();
    this.#startHealth();
  }

  /** The command line of a supervisor made of system calls; the task's id is for `ps`. */
  async #program(logs: { readonly stdout: string; readonly stderr: string }): Promise<string[]> {
    const { manifest } = this;
    const { view, namespaces } = this.#host;
    const { netns, user, oomScoreAdj, hostname } = manifest;
    const program = launchProgram({
      files: {
        ...logs,
        pids: this.#folder.file(PIDS_NAME),
        exit: this.#folder.file(EXIT_NAME),
      },
      viewPath: await view.path(),
      ...(netns === undefined ? {} : { netnsPath: namespaces.path(netns) }),
      cgroupFiles: manifest.cgroupFiles,
      ...(oomScoreAdj === undefined ? {} : { oomScoreAdj }),
      ...(hostname === undefined ? {} : { hostname }),
      mounts: view.taskMounts(),
      ulimits: manifest.ulimits ?? [],
      user: user!,
      capabilityAdd: manifest.capabilityAdd ?? [],
      capabilityDrop: manifest.capabilityDrop ?? [],
      directory: manifest.directory,
      command: manifest.command,
      env: manifest.env,
      lastCapability: this.#host.lastCapability,
    });
    return [this.#folder.writeProgram(program), manifest.taskId];
  }

  #script(): string {
    const { manifest } = this;
    const { tools, view } = this.#host;
    const isolated = manifest.isolated === true;
    return launchScript({
      cgroupFiles: manifest.cgroupFiles,
      ...(manifest.oomScoreAdj === undefined ? {} : { oomScoreAdj: manifest.oomScoreAdj }),
      ...(manifest.hostname === undefined ? {} : { hostname: manifest.hostname }),
      opensLowPorts: isolated && manifest.netns !== undefined,
      isolated,
      mount: isolated ? view.taskMount() : [],
      wrappers: [tools.path('setsid', 'util-linux'), ...manifest.wrappers],
      directory: manifest.directory,
      command: manifest.command,
    });
  }

  /** The command line of the supervisor: namespaces, then the shell; the task's id is for `ps`. */
  async #command(): Promise<string[]> {
    const { isolated, netns, hostname, taskId } = this.manifest;
    const { tools, view, namespaces } = this.#host;
    const shell = ['/bin/sh', `/proc/self/fd/${SCRIPT_FDS.script}`, taskId];
    if (isolated !== true) return shell;
    return [
      tools.path('nsenter', 'util-linux'),
      `--mount=${await view.path()}`,
      ...(netns === undefined ? [] : [`--net=${namespaces.path(netns)}`]),
      '--',
      tools.path('unshare', 'util-linux'),
      ...['--mount', '--propagation', 'unchanged', '--ipc', '--pid'],
      ...(hostname === undefined ? [] : ['--uts']),
      '--',
      ...shell,
    ];
  }

  #startHealth(): void {
    const { health, env, wrappers, directory, cgroupFiles } = this.manifest;
    const process = this.#process;
    if (health === undefined || process === undefined) return;
    const test = health.Test ?? [];
    const command = test[0] === 'CMD' ? test.slice(1) : ['/bin/sh', '-c', test.slice(1).join(' ')];
    const script = this.#folder.writeScript(
      'probe.sh',
      probeScript({
        cgroupFiles,
        wrappers: [...this.#enter(process), ...wrappers],
        directory,
        command,
        entry: this.#folder.writeScript('probe-entry.sh', entryScript(env)),
      }),
    );
    const program = this.#host.usesCalls
      ? { path: this.#folder.writeProgram(shellProgram(script), PROBE_NAME), isScript: false }
      : { path: script, isScript: true };
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

  /** The command that enters the task's namespaces, to be followed by another. */
  #enter(process: ProcessIdentity): string[] {
    const { isolated, netns, hostname } = this.manifest;
    const namespaces: string[] = [];
    if (isolated === true) {
      // Of its pid 1, which is root's: the command may have made namespaces of its own, where it decides
      // what root's programs are.
      namespaces.push(`--target=${parentOf(process)}`);
      namespaces.push('--mount', '--pid', '--ipc', '--net', '--uts');
    } else {
      // An earlier version started it, with these alone.
      if (netns !== undefined) namespaces.push(`--net=${this.#host.namespaces.path(netns)}`);
      if (hostname !== undefined) namespaces.push(`--uts=/proc/${process.pid}/ns/uts`);
    }
    if (namespaces.length === 0) return [];
    return [this.#host.tools.path('nsenter', 'util-linux'), ...namespaces, '--'];
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

  /** Looks whether it has ended; for a supervisor of ours its exit event says so. */
  #check(): void {
    if (this.#state !== 'running' || this.#settling || this.#closed) return;
    if (this.#ours) return;
    const supervised = this.#supervisor !== undefined && isAlive(this.#supervisor);
    // The exit code is the last that a supervisor writes; it may take a moment to be gone.
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
      // Someone killed the supervisor alone. The task is well; only its exit code will be lost.
      if (this.#ours) {
        this.#ours = false;
        this.#poll();
      }
      return;
    }
    void this.#settle();
  }

  /** The first process is gone: ends the rest, as the end of a container does, and tells. */
  async #settle(): Promise<void> {
    this.#settling = true;
    this.#health?.close();
    const end = this.#readEnd();
    try {
      await this.#killAll();
      this.#finish(end);
    } catch (error) {
      // Its end is told all the same; `stop` tries to kill the rest again and reports it.
      this.#host.logger.error(
        { taskId: this.manifest.taskId, error: messageOf(error) },
        'not all of a task could be killed',
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

  #readEnd(): TaskEnd {
    const { taskId, memoryBytes } = this.manifest;
    const code = this.#folder.readExitCode();
    if (code === undefined) {
      const failure = this.#folder.readFailure();
      return {
        kind: 'exit',
        code: -1,
        error:
          failure !== undefined && this.#process === undefined
            ? `it could not start: ${failure}`
            : 'it ended together with its host or its supervisor, so its exit code is lost',
      };
    }
    const signal = code > 128 ? signalName(code - 128) : undefined;
    const failure = this.#folder.readFailure();
    let error: string | undefined;
    if (code === SETUP_FAILED_CODE && failure !== undefined)
      error = `it could not start: ${failure}`;
    else if (this.#host.cgroups.outOfMemoryKills(taskId) > 0) {
      error = `the kernel killed it: out of memory, its limit is ${memoryBytes ?? 0} bytes`;
    } else if (EXEC_FAILED_CODES.has(code)) {
      error = 'its command may not be executable; see its log';
    }
    const reason = code > 0 && code <= 128 ? this.#explainAccess() : undefined;
    if (reason !== undefined) error = error === undefined ? reason : `${error}; ${reason}`;
    return {
      kind: 'exit',
      code,
      ...(signal === undefined ? {} : { signal }),
      ...(error === undefined ? {} : { error }),
    };
  }

  #explainAccess(): string | undefined {
    const { command, directory, user } = this.manifest;
    return user === undefined ? undefined : explainAccess(command, directory, user);
  }

  #processes(): number[] {
    if (this.manifest.hasCgroup) return this.#host.cgroups.processes(this.manifest.taskId);
    return findProcesses(this.#session, `${TASK_ID_VARIABLE}=${this.manifest.taskId}`).filter(
      (pid) => pid !== this.#supervisor?.pid,
    );
  }

  async #killAll(): Promise<void> {
    if (this.manifest.hasCgroup) {
      await this.#host.cgroups.killAll(this.manifest.taskId);
      return;
    }
    for (const deadline = this.#host.clock.monotonicMs() + LAUNCH_LIMIT_MS; ; ) {
      const left = this.#processes();
      if (left.length === 0) {
        this.#session = undefined;
        return;
      }
      for (const pid of left) sendSignal(pid, SIGKILL);
      if (this.#host.clock.monotonicMs() > deadline) {
        throw new RuntimeError('failed', `Processes ${left.join(', ')} do not die from SIGKILL.`);
      }
      await delay(this.#host.clock, 10);
    }
  }

  async #endWithin(ms: number): Promise<void> {
    let timer: unknown;
    const timeout = new Promise<void>((resolve) => {
      timer = this.#host.clock.setTimeout(resolve, ms);
    });
    await Promise.race([this.#exited.promise, timeout]);
    this.#host.clock.clearTimeout(timer);
  }
}

function awaited<T>(): Awaited<T> {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
