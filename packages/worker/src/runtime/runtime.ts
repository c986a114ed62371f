import type {
  AssignedKind,
  AssignedObjects,
  LogLine,
  LogOptions,
  LogPlace,
  Platform,
  PortConfig,
  Resources,
  RuntimeCapability,
  Task,
} from '@swarm/api';
import type { Mesh } from '@swarm/routing-mesh';
import type { Sandbox, SandboxSpec } from './sandbox.js';

/** What a runtime runs tasks with. A third runtime adds its word here (docs/runtimes.md). */
export type RuntimeKind = 'docker' | 'process';

/** What the node's description says about its runtime. */
export interface RuntimeDescription {
  readonly kind: RuntimeKind;
  /** Name of the host as its programs see it. */
  readonly hostname: string;
  readonly platform: Platform;
  /** All that the host has, not what is free. */
  readonly resources: Required<Resources>;
  readonly engineVersion: string;
  /** What tasks can ask for; the scheduler places a task where everything it needs is declared. */
  readonly capabilities: readonly RuntimeCapability[];
  readonly plugins?: readonly { readonly Type: string; readonly Name: string }[];
}

/** The node, for templates in a task's spec (`{{.Node.Hostname}}`). */
export interface NodeFacts {
  readonly id: string;
  readonly hostname: string;
  readonly platform: Platform;
  /** Where managers say that the node is reachable; absent until one has said so. */
  readonly address?: string;
}

/** What attaches a sandbox to the cluster's networks: the node's mesh. */
export type TaskNetwork = Pick<Mesh, 'attach' | 'backend'>;

/** The objects of the cluster that a task's spec refers to, as the managers sent them. */
export interface TaskObjects {
  /** Undefined for what the task does not refer to, and for what is not on this node. */
  get<K extends AssignedKind>(kind: K, id: string): AssignedObjects[K] | undefined;
}

/** What `prepare` needs besides the task. */
export interface PrepareContext {
  readonly node: NodeFacts;
  /** The secrets and configs that the task needs are all here. Never write a secret to disk. */
  readonly objects: TaskObjects;
  /** Aborted when the task should no longer run; `prepare` then rejects soon. */
  readonly signal: AbortSignal;
  /** Reports what it waits for, as a sentence for the user ("pulling nginx: 12 of 40 MB"). */
  waiting(message: string): void;
}

/** What exists after `prepare`. */
export interface PreparedTask {
  /** The runtime's own name for it: a container's id, or the task's id. */
  readonly containerId: string;
  /**
   * Where to reach the task, if not at the address of its network attachment: the process runtime without
   * root shares the host's network and gives each task its own ports.
   */
  readonly address?: string;
  /** With `address`: the ports the task actually has to listen on, as `TargetPort`. */
  readonly ports?: readonly PortConfig[];
}

/** How a task ended, or why it has to be ended. */
export type TaskEnd =
  | {
      readonly kind: 'exit';
      /** Exit code; 128 + number for a signal; -1 if unknown. */
      readonly code: number;
      readonly signal?: string;
      /** What the runtime knows beyond the code, as a sentence ("out of memory: …"). */
      readonly error?: string;
    }
  /** It runs, but its health check failed `retries` times in a row: the caller stops it. */
  | { readonly kind: 'unhealthy'; readonly message: string };

/** A task found when the runtime was reopened. */
export interface LeftTask {
  readonly taskId: string;
  /** The sandbox it is in, or was in before it ended. */
  readonly sandboxId: string;
  /** `prepared`: never started. `ended`: `wait` answers at once. */
  readonly state: 'prepared' | 'running' | 'ended';
  readonly prepared: PreparedTask;
}

export interface StartProgress {
  /** Its first instruction is about to run, or ran; a health check may still be pending. */
  started(): void;
  /** What it waits for, as a sentence. */
  waiting(message: string): void;
}

export interface StopOptions {
  /** Milliseconds between the stop signal and SIGKILL; 0 kills at once. */
  readonly graceMs: number;
  /** `SIGTERM`, `TERM` or `15`; the runtime's default (SIGTERM, or the image's) when absent. */
  readonly signal?: string;
}

/**
 * Runs tasks on one host. A task runs in a sandbox: the caller first creates the sandbox, then attaches its
 * network, then prepares tasks in it. So a task's network is complete before its first instruction.
 *
 * Every method may be called again after a crash of the daemon, and then carries on: nothing is made,
 * prepared or started twice.
 *
 * Tasks and sandboxes outlive the runtime object: `close` leaves them, and the next runtime on the same
 * folder or engine finds them with `list` and `listSandboxes`.
 *
 * Errors: {@link RuntimeError}; its `reason` decides between REJECTED and FAILED.
 */
export interface Runtime {
  readonly kind: RuntimeKind;

  describe(): Promise<RuntimeDescription>;

  /** Tasks left by an earlier run, adopted: `wait`, `stop`, `logs` and `pid` work on them. */
  list(): Promise<readonly LeftTask[]>;

  /** Ids of the sandboxes that exist, including those of an earlier run. */
  listSandboxes(): Promise<readonly string[]>;

  /**
   * Makes a sandbox; returns the existing one if there is one with this id.
   * @param signal aborted when it is no longer wanted; the call then rejects soon
   * @throws RuntimeError `rejected` when this node can never provide such a sandbox
   */
  createSandbox(spec: SandboxSpec, signal: AbortSignal): Promise<Sandbox>;

  /**
   * Stops all tasks of a sandbox, as `stop` does, and releases its namespaces and its network. Only the tasks'
   * logs and exits remain. Does nothing if there is no such sandbox.
   */
  stopSandbox(sandboxId: string, options: StopOptions): Promise<void>;

  /** Removes a sandbox and every trace of its tasks, including the logs. Does nothing if it does not exist. */
  removeSandbox(sandboxId: string): Promise<void>;

  /**
   * Makes all that the task needs, without running any of its instructions: image, files, limits.
   * @param sandbox one that `createSandbox` returned
   * @throws RuntimeError `rejected` when this spec can never run on this node; the message names the field
   */
  prepare(task: Task, sandbox: Sandbox, context: PrepareContext): Promise<PreparedTask>;

  /**
   * Starts a prepared task. Resolves once it runs and, if it has a health check, is healthy.
   * @throws RuntimeError `ended` when it exits or becomes unhealthy first; `wait` says how
   */
  start(taskId: string, progress: StartProgress): Promise<void>;

  /** Resolves when the task ends or becomes unhealthy. After `unhealthy`, a second call waits for the exit. */
  wait(taskId: string): Promise<TaskEnd>;

  /**
   * Ends the task and everything it started: signal, grace period, SIGKILL. Only its logs and its exit
   * remain. Removes the sandbox with the last task in it. Does nothing if the task has ended or never
   * started.
   */
  stop(taskId: string, options: StopOptions): Promise<void>;

  /**
   * Removes every trace of the task, including the logs; kills what still runs. Removes the sandbox with
   * the last task in it. Does nothing if there is no such task.
   */
  remove(taskId: string): Promise<void>;

  /**
   * The task's output, oldest first. Ends after the last line; with `follow`, when the task has ended. Lines
   * longer than 16 KiB come in pieces, all but the last marked `partial`.
   * @param place from the `position` of earlier lines: goes on there, without a line twice or one lost. Given,
   *   even when it is empty, the log also has empty partial pieces: marks of streams that wrote nothing yet
   */
  logs(taskId: string, options: LogOptions, place?: LogPlace): AsyncIterable<LogLine>;

  /** Process id of the running task's first process, as this host sees it. */
  pid(taskId: string): number | undefined;

  /** Lets go of everything that belongs to the daemon; tasks keep running. */
  close(): Promise<void>;
}
