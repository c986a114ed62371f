import {
  backoffMs,
  type Clock,
  compareStates,
  isTerminal,
  type Logger,
  MS,
  pause,
  type PortConfig,
  type Task,
  type TaskState,
  type TaskStatus,
} from '@swarm/api';
import type { LeftTask, NodeFacts, Runtime, TaskEnd } from '../runtime/runtime.js';
import { messageOf, RuntimeError } from '../runtime/runtime-error.js';
import { hostPublished, withHostPorts } from '../runtime/task-ports.js';
import { type StoredTask, storedTask } from './agent-storage.js';
import type { Isolation } from './isolation.js';
import { lastLine } from './last-line.js';
import type { Leftovers } from './leftovers.js';
import {
  DRAIN_LIMIT_MS,
  PREPARE_RETRY_MS,
  PREPARE_TRIES,
  RESTART_DELAY_MS,
  RETRY_MS,
  REVIVE_MAX_MS,
  STEP_NAMED_AFTER_MS,
} from './limits.js';
import type { Semaphore } from './semaphore.js';
import { aborted, Signal } from './signal.js';
import type { TaskMesh } from './task-mesh.js';
import type { TaskNeeds } from './task-needs.js';
import { attachedSandbox, sandboxIdOf } from './task-sandbox.js';
import { notListening, socketsOf, untilDrained, untilListening } from './task-sockets.js';
import {
  endSentence,
  nextStatus,
  readyMessage,
  type StatusChange,
  stopGraceMs,
  stopMessage,
  stopSignal,
} from './task-status.js';

const PREPARING = 'preparing its sandbox, network and files';

/** What all controllers of a node share. */
export interface TaskHost {
  readonly runtime: Runtime;
  readonly mesh: TaskMesh;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Bounds how many tasks are being prepared or started at once. */
  readonly starts: Semaphore;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  readonly isolation: Isolation;
  readonly leftovers: Leftovers;
  /** The objects that tasks need, as far as they are on this node. */
  readonly needs: Pick<TaskNeeds, 'missing' | 'of'>;
  /** Resolves when the mesh can attach tasks. */
  meshStarted(): Promise<void>;
  meshRunning(): boolean;
  node(): NodeFacts;
  /** Called after each change of a task's status. */
  changed(task: Task, status: TaskStatus): void;
}

/** What is known of a task when its controller is made. */
export interface KnownTask {
  readonly task: Task;
  /** The latest: from disk or, for a task that is new here, from the manager. */
  readonly status: TaskStatus;
  /** What the runtime has of it from an earlier life. */
  readonly found: LeftTask | undefined;
  /** It comes from disk, where its registry credentials are not kept: the manager gives them again. */
  readonly isAuthWithheld: boolean;
}

/**
 * Drives one task from its observed state to its desired state, step by step (SwarmKit's `Do`):
 *
 * - desired `shutdown` or `remove` while alive: drain, stop, SHUTDOWN;
 * - leaves ACCEPTED and READY only when the desired state is beyond;
 * - PREPARING, STARTING and RUNNING may run past the desired state;
 * - a failure before STARTING is REJECTED, from there on FAILED.
 *
 * The observed state never goes backwards.
 */
export class TaskController {
  readonly #host: TaskHost;
  readonly #logger: Logger;
  readonly #changed = new Signal();
  /** Aborted when the task should no longer run. */
  readonly #unwanted = new AbortController();
  /** Aborted when the daemon ends; the task keeps running. */
  readonly #closed = new AbortController();
  readonly #done: Promise<void>;
  #task: Task;
  #status: TaskStatus;
  #isAuthWithheld: boolean;
  #removed = false;
  /** Its network stands, with the ports of its status. */
  #isAttached = false;
  /** The runtime has the task: prepared in this run, or found. */
  #prepared = false;
  #end: Promise<TaskEnd> | undefined;
  #ended = false;

  constructor(known: KnownTask, host: TaskHost) {
    const { task, status, found, isAuthWithheld } = known;
    this.#task = task;
    this.#status = status;
    this.#isAuthWithheld = isAuthWithheld;
    this.#host = host;
    this.#logger = host.logger.child({ taskId: task.ID, task: task.Name });
    this.#prepared = found !== undefined;
    this.#isAttached = found !== undefined;
    if (this.#isUnwanted()) this.#unwanted.abort();
    this.#done = this.#run(found);
  }

  get task(): Task {
    return this.#task;
  }

  get status(): TaskStatus {
    return this.#status;
  }

  /** What is kept of it on disk. */
  get record(): StoredTask {
    return storedTask(this.#task, this.#status, this.#isAuthWithheld);
  }

  /** Whether the runtime has anything of the task, so that there are logs. */
  get hasLogs(): boolean {
    return this.#prepared;
  }

  /** The manager changed the task. Its desired state only rises. */
  update(task: Task): void {
    const lower = compareStates(task.DesiredState, this.#task.DesiredState) < 0;
    // A new leader names tasks it holds back as running; we already know that they should stop.
    this.#task = lower ? { ...task, DesiredState: this.#task.DesiredState } : task;
    this.#isAuthWithheld = false;
    if (this.#isUnwanted()) this.#unwanted.abort();
    this.#changed.fire();
  }

  /** Of a change that could not be read whole, the desired state still counts. */
  raise(desired: TaskState): void {
    this.#task = { ...this.#task, DesiredState: desired };
    if (this.#isUnwanted()) this.#unwanted.abort();
    this.#changed.fire();
  }

  /**
   * The assignment is gone: stops the task and removes everything of it.
   * @returns false when the daemon ended first; then the next one has to do it
   */
  async remove(): Promise<boolean> {
    this.#removed = true;
    this.#unwanted.abort();
    this.#changed.fire();
    await this.#done;
    return !this.#closed.signal.aborted;
  }

  /** Lets go of the task, which keeps running. */
  close(): Promise<void> {
    this.#closed.abort();
    this.#unwanted.abort();
    this.#changed.fire();
    return this.#done;
  }

  /** Resolves when the runtime has the task, or never will. */
  async untilPrepared(): Promise<void> {
    while (!this.#prepared && !isTerminal(this.#status.State) && !this.#removed) {
      await this.#changed.next();
    }
  }

  /** Whether the task should stop, as far as this node knows. */
  get isUnwanted(): boolean {
    return this.#isUnwanted();
  }

  /** Resolves when the task has ended, or the daemon lets go of it. */
  async untilEnded(): Promise<void> {
    while (!isTerminal(this.#status.State) && !this.#closed.signal.aborted) {
      await this.#changed.next();
    }
  }

  async #run(found: LeftTask | undefined): Promise<void> {
    try {
      // The creator must have stored this controller before the first status arrives.
      await Promise.resolve();
      await this.#resume(found);
      while (!this.#removed && !this.#closed.signal.aborted) await this.#step();
      if (this.#removed && !this.#closed.signal.aborted) await this.#tearDown();
    } catch (error) {
      // Runtime errors are handled where they arise; this one is a bug of ours and must be visible.
      this.#logger.error({ error: messageOf(error), err: error }, 'the task controller failed');
      if (!isTerminal(this.#status.State)) {
        this.#set({
          State: 'failed',
          Message: 'failed',
          Err: `bug in the agent: ${messageOf(error)}`,
        });
      }
      if (this.#removed) await this.#tearDown();
    }
  }

  /** Brings a task of an earlier run in line with what the runtime still has. */
  async #resume(found: LeftTask | undefined): Promise<void> {
    const { State } = this.#status;
    if (isTerminal(State)) {
      if (found !== undefined) await this.#release();
      return;
    }
    if (compareStates(State, 'starting') < 0) {
      // A runtime that lost it (a reboot took its namespace) makes it again; the state does not go back.
      return;
    }
    if (found?.state === 'running') {
      // A userspace mesh forgets with its process where a task without a network listens.
      if (this.#status.Address !== undefined) await this.#reattach();
      // An agent of an earlier version did not report them, and took the target port for one left open.
      const ports = portsOf(this.#task, ({ TargetPort }) => TargetPort);
      if (this.#status.PortStatus === undefined && ports.ports !== undefined)
        this.#set({ Message: this.#status.Message, ...ports });
      if (State === 'running') this.#watchListening();
      return;
    }
    if (State === 'starting' && found?.state === 'prepared') return;
    await this.#onEnd(await this.#wait());
  }

  async #reattach(): Promise<void> {
    try {
      await this.#attach();
    } catch (error) {
      this.#logger.error({ error: messageOf(error) }, 'could not reattach a task');
    }
  }

  async #step(): Promise<void> {
    const { State } = this.#status;
    const desired = this.#task.DesiredState;
    if (isTerminal(State)) await this.#changed.next();
    else if (this.#isUnwanted()) await this.#shutDown();
    else if (State === 'accepted' || State === 'ready') {
      if (compareStates(desired, State) <= 0) await this.#pause();
      else if (State === 'accepted') this.#set({ State: 'preparing', Message: PREPARING });
      else this.#set({ State: 'starting', Message: 'starting' });
    } else if (State === 'preparing') await this.#prepare();
    else if (State === 'starting') await this.#start();
    else if (State === 'running') await this.#supervise();
    else this.#set({ State: 'accepted', Message: 'accepted by its node' });
  }

  async #pause(): Promise<void> {
    const Message =
      this.#status.State === 'ready'
        ? readyMessage(this.#task, this.#host.clock.now())
        : 'accepted by its node: waiting for permission to prepare it';
    if (this.#status.Message !== Message) this.#set({ Message });
    await this.#changed.next();
  }

  async #prepare(): Promise<void> {
    for (let tried = 1; ; tried += 1) {
      try {
        if (!this.#prepared) await this.#untilAuthKnown();
        await this.#prepareOnce();
        if (this.#prepared) this.#set({ State: 'ready', Message: 'ready to start' });
        return;
      } catch (error) {
        if (this.#unwanted.signal.aborted) return;
        const rejected = error instanceof RuntimeError && error.reason === 'rejected';
        if (rejected || tried === PREPARE_TRIES) {
          const Err = messageOf(error);
          this.#set({ State: 'rejected', Message: 'cannot run on this node', Err });
          await this.#release();
          return;
        }
        this.#set({ Message: `preparation failed, trying again: ${messageOf(error)}` });
        await this.#sleep(backoffMs(tried, PREPARE_RETRY_MS));
      }
    }
  }

  /** Leaves `#prepared` false when the task is no longer wanted. */
  async #prepareOnce(): Promise<void> {
    await this.#untilNeedsMet();
    await this.#untilNothingIsLeft();
    await this.#attach();
  }

  /** A task from disk has to pull with credentials that come again with the session. */
  async #untilAuthKnown(): Promise<void> {
    const { signal } = this.#unwanted;
    if (!this.#isAuthWithheld || signal.aborted) return;
    this.#set({ Message: 'waiting for a manager to send its registry credentials again' });
    while (this.#isAuthWithheld && !signal.aborted) {
      await Promise.race([this.#changed.next(), aborted(signal)]);
    }
  }

  /** Waits for tasks that had to stop while this node reached no manager. */
  async #untilNothingIsLeft(): Promise<void> {
    const { signal } = this.#unwanted;
    for (;;) {
      const wait = this.#host.leftovers.wait();
      if (wait === undefined || signal.aborted) return;
      if (this.#status.Message !== wait.message) this.#set({ Message: wait.message });
      await Promise.race([wait.news, aborted(signal)]);
    }
  }

  /** Waits for what the task needs: after a restart of the daemon, secrets come with the next session. */
  async #untilNeedsMet(): Promise<void> {
    const { signal } = this.#unwanted;
    for (;;) {
      const missing = this.#host.needs.missing(this.#task);
      if (missing === undefined || signal.aborted) return;
      if (this.#status.Message !== missing.message) this.#set({ Message: missing.message });
      await Promise.race([missing.news, this.#changed.next(), aborted(signal)]);
    }
  }

  /** Has the runtime prepare the task. One that is prepared already is only attached and needs no objects. */
  async #attach(): Promise<void> {
    const { runtime, mesh } = this.#host;
    const { signal } = this.#unwanted;
    if ((this.#task.NetworksAttachments?.length ?? 0) > 0 && !this.#host.meshRunning()) {
      this.#say("waiting for the node's place in the routing mesh");
      await Promise.race([this.#host.meshStarted(), aborted(signal)]);
    }
    const leave = await this.#turn(PREPARING);
    if (leave === undefined) return;
    try {
      // What it waited for is here.
      if (this.#status.Message.startsWith('waiting ')) this.#say(PREPARING);
      const node = this.#host.node();
      // A chosen port that turned out not to be free is not tried again.
      const known = this.#isAttached ? (this.#status.PortStatus?.Ports ?? []) : [];
      this.#isAttached = false;
      const task = withHostPorts(this.#task, known, this.#host.random);
      const sandbox = await this.#named('creating its sandbox and network', () =>
        attachedSandbox(task, { runtime, network: mesh, node, signal }),
      );
      this.#isAttached = true;
      const prepared = await this.#named('preparing its files and program', () =>
        runtime.prepare(this.#task, sandbox, {
          node,
          objects: this.#host.needs.of(this.#task),
          signal,
          waiting: (Message) => this.#say(Message),
        }),
      );
      this.#prepared = true;
      this.#set({ Message: this.#status.Message, prepared, ...portsOf(task) });
    } finally {
      leave();
    }
  }

  /** Names a step of preparing that takes long, unless the step says more itself. */
  async #named<T>(name: string, work: () => Promise<T>): Promise<T> {
    const { clock } = this.#host;
    const before = this.#status.Message;
    const timer = clock.setTimeout(() => {
      if (this.#status.Message === before) this.#say(name);
    }, STEP_NAMED_AFTER_MS);
    try {
      return await work();
    } finally {
      clock.clearTimeout(timer);
    }
  }

  /** Says what is being done for a task that does not run yet. One that runs is only attached again. */
  #say(Message: string): void {
    if (compareStates(this.#status.State, 'running') < 0) this.#set({ Message });
  }

  /** Waits until the node prepares and starts fewer tasks. @param then what the task says afterwards */
  async #turn(then: string): Promise<(() => void) | undefined> {
    const { starts } = this.#host;
    const waits = starts.isFull;
    if (waits) this.#say('waiting for other tasks of this node to be prepared or started');
    const leave = await starts.acquire(this.#unwanted.signal);
    if (waits && leave !== undefined) this.#say(then);
    return leave;
  }

  async #start(): Promise<void> {
    const { runtime, clock } = this.#host;
    const { signal } = this.#unwanted;
    try {
      if (!this.#prepared) {
        await this.#untilAuthKnown();
        await this.#prepareOnce();
      }
    } catch (error) {
      await this.#fail('could not be prepared again', messageOf(error));
      return;
    }
    const leave = await this.#turn('starting');
    if (leave === undefined || !this.#prepared) {
      leave?.();
      return;
    }
    const starting = runtime.start(this.#task.ID, {
      started: () => {
        // A health check may take minutes; others need not wait for it.
        leave();
        this.#set({ Message: 'started', ...this.#pid() });
      },
      waiting: (Message) => this.#set({ Message }),
    });
    try {
      await Promise.race([starting, aborted(signal)]);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof RuntimeError && error.reason === 'ended') {
        await this.#onEnd(await this.#wait());
      } else await this.#fail('could not be started', messageOf(error));
      return;
    } finally {
      leave();
      starting.catch(() => {}); // Stopping it makes its start fail, which is expected.
    }
    if (signal.aborted) return;
    await this.#setRunning('running');
    this.#logger.debug({ atMs: clock.now() }, 'task runs');
  }

  /** Reports RUNNING at once; whether the task listens only decides about traffic. */
  async #setRunning(message: string): Promise<void> {
    const sockets = socketsOf(this.#task, this.#status, this.#host.runtime.pid(this.#task.ID));
    if (sockets === undefined) {
      this.#set({ State: 'running', Message: message, ...this.#pid() });
      return;
    }
    const Ready = await this.#listens(sockets);
    const Message = Ready ? message : notListening(this.#task, this.#status);
    this.#set({ State: 'running', Message, Ready, ...this.#pid() });
    if (!Ready) this.#watchListening();
  }

  async #listens(sockets: Parameters<TaskMesh['listens']>[0]): Promise<boolean> {
    try {
      return await this.#host.mesh.listens(sockets);
    } catch (error) {
      this.#logger.warn({ error: messageOf(error) }, 'cannot tell whether the task listens');
      return false;
    }
  }

  /** Sets `Ready` once the task listens. */
  #watchListening(): void {
    const { mesh, clock, runtime } = this.#host;
    const sockets = socketsOf(this.#task, this.#status, runtime.pid(this.#task.ID));
    if (sockets === undefined || this.#status.Ready !== false) return;
    const goesOn = (): boolean =>
      this.#status.State === 'running' && !this.#unwanted.signal.aborted && !this.#ended;
    const watch = async (): Promise<void> => {
      try {
        const listens = await untilListening(mesh, sockets, clock, goesOn);
        if (listens && goesOn()) this.#set({ Message: 'running', Ready: true });
      } catch (error) {
        const why = messageOf(error);
        this.#set({
          Message: `running, but cannot look at its sockets: ${why}; it gets no traffic`,
        });
        this.#logger.warn({ error: why }, 'cannot tell whether the task listens');
        await this.#sleep(RETRY_MS.minMs);
        if (goesOn()) await watch();
      }
    };
    void watch();
  }

  async #supervise(): Promise<void> {
    const end = await Promise.race([this.#wait(), this.#changed.next()]);
    if (end !== undefined && !this.#unwanted.signal.aborted) await this.#onEnd(end);
  }

  /** The task ended, or has to be ended, without a request to stop. */
  async #onEnd(end: TaskEnd): Promise<void> {
    this.#ended = true;
    if (end.kind === 'exit' && (await this.#revive(end))) return;
    if (this.#closed.signal.aborted) return;
    if (this.#isUnwanted()) return; // It should stop meanwhile: SHUTDOWN says more than FAILED.
    if (end.kind === 'unhealthy') {
      const Err = endSentence(end);
      this.#set({ Message: `stopping because it is ${Err}`, Ready: false });
      await this.#stop();
      this.#set({ State: 'failed', Message: 'failed', Err });
    } else if (end.code === 0) {
      this.#set({ State: 'complete', Message: 'finished', ExitCode: 0 });
    } else {
      const { runtime, clock } = this.#host;
      const said =
        end.error === undefined ? await lastLine(runtime, this.#task.ID, clock) : undefined;
      if (this.#closed.signal.aborted || this.#isUnwanted()) return;
      const Err = endSentence(end, said);
      this.#set({ State: 'failed', Message: 'failed', Err, ExitCode: end.code });
    }
    await this.#release();
  }

  /** Restarts the task in place when there is no manager to replace it. */
  async #revive(end: TaskEnd & { kind: 'exit' }): Promise<boolean> {
    const { isolation, runtime, mesh } = this.#host;
    const policy = this.#task.Spec.RestartPolicy;
    const allowed =
      policy?.Condition !== 'none' && (policy?.Condition !== 'on-failure' || end.code !== 0);
    const wanted = this.#task.DesiredState === 'running' && !this.#isUnwanted();
    if (!allowed || !wanted || isolation.connected) return false;
    const firstMs = policy?.Delay === undefined ? RESTART_DELAY_MS : policy.Delay / MS;
    const pauses = { minMs: Math.max(firstMs, RETRY_MS.minMs), maxMs: REVIVE_MAX_MS };
    this.#set({
      Message: `${endSentence(end)}; no manager can be reached, so this node will restart it`,
      Ready: false,
    });
    for (let tries = 1; ; tries += 1) {
      const pauseMs = tries === 1 ? firstMs : backoffMs(tries, pauses);
      if ((await isolation.verdict(pauseMs, this.#unwanted.signal)) !== 'isolated') return false;
      try {
        const missing = this.#host.needs.missing(this.#task);
        if (missing !== undefined) throw new Error(missing.message);
        await runtime.removeSandbox(sandboxIdOf(this.#task));
        await mesh.detach(this.#task.ID);
        this.#prepared = false;
        this.#end = undefined;
        await this.#prepareOnce();
        if (!this.#prepared) return false;
        const starting = runtime.start(this.#task.ID, { started() {}, waiting() {} });
        starting.catch(() => {}); // The race sees it, unless that is over.
        await Promise.race([starting, aborted(this.#unwanted.signal)]);
        if (this.#unwanted.signal.aborted) return false;
        this.#ended = false;
        await this.#setRunning('running: restarted by this node while no manager could be reached');
        return true;
      } catch (error) {
        const why = messageOf(error);
        this.#set({
          Message: `this node could not restart it, trying again: ${why}`,
          Ready: false,
        });
      }
    }
  }

  async #shutDown(): Promise<void> {
    const running = this.#status.State === 'running' && !this.#ended;
    if (running) await this.#drain();
    const started = compareStates(this.#status.State, 'starting') >= 0;
    const graceMs = stopGraceMs(this.#task);
    if (started && !this.#ended) {
      const Message = stopMessage(`stopping, with a grace period of ${graceMs} ms`, this.#task);
      this.#set({ Message });
    }
    await this.#stop();
    if (this.#closed.signal.aborted) return;
    const end = started ? await this.#exit() : undefined;
    this.#set({
      State: 'shutdown',
      Message: stopMessage(started ? 'shut down' : 'shut down before it was started', this.#task),
      ...(end === undefined || end.code < 0 ? {} : { ExitCode: end.code }),
    });
    await this.#release();
  }

  /** The manager asks for a stop only once the mesh sends the task nothing new. */
  async #drain(): Promise<void> {
    const { mesh, clock, runtime } = this.#host;
    const sockets = socketsOf(this.#task, this.#status, runtime.pid(this.#task.ID));
    if (sockets === undefined) return;
    const limitMs = Math.min(stopGraceMs(this.#task), DRAIN_LIMIT_MS);
    let alive = true;
    void this.#wait().then(() => {
      alive = false;
    });
    const goesOn = (): boolean => alive && !this.#closed.signal.aborted;
    try {
      await untilDrained(mesh, sockets, clock, limitMs, goesOn, (count) =>
        this.#set({
          Message: `draining: waiting for ${count} ${count === 1 ? 'connection' : 'connections'} to end, at most ${limitMs} ms`,
        }),
      );
    } catch (error) {
      this.#logger.warn(
        { error: messageOf(error) },
        'cannot see connections, so the task was not drained',
      );
    }
  }

  /** Stops the task; retries until that works. */
  async #stop(): Promise<void> {
    const signal = stopSignal(this.#task);
    for (let tries = 1; !this.#closed.signal.aborted; tries += 1) {
      try {
        const stopping = this.#host.runtime.stopSandbox(sandboxIdOf(this.#task), {
          graceMs: stopGraceMs(this.#task),
          ...(signal === undefined ? {} : { signal }),
        });
        stopping.catch(() => {}); // The race sees it, unless that is over.
        // A daemon that ends does not wait for a long grace period: the next one stops the task.
        await Promise.race([stopping, aborted(this.#closed.signal)]);
        return;
      } catch (error) {
        const why = messageOf(error);
        this.#set({ Message: `could not stop it, trying again: ${why}` });
        this.#logger.error({ error: why }, 'could not stop a task');
        await pause(this.#host.clock, backoffMs(tries, RETRY_MS));
      }
    }
  }

  /** Releases what an ended task holds of the host: leftover processes, network. Its logs stay. */
  async #release(): Promise<void> {
    await this.#stop();
    try {
      if (!this.#closed.signal.aborted) await this.#host.mesh.detach(this.#task.ID);
    } catch (error) {
      this.#logger.error({ error: messageOf(error) }, 'could not detach a task from the mesh');
    }
  }

  async #tearDown(): Promise<void> {
    if (!isTerminal(this.#status.State)) await this.#shutDown();
    for (let tries = 1; !this.#closed.signal.aborted; tries += 1) {
      try {
        await this.#host.runtime.removeSandbox(sandboxIdOf(this.#task));
        return;
      } catch (error) {
        this.#logger.error({ error: messageOf(error) }, 'could not remove a task, trying again');
        await pause(this.#host.clock, backoffMs(tries, RETRY_MS));
      }
    }
  }

  async #fail(message: string, Err: string): Promise<void> {
    this.#set({ State: 'failed', Message: message, Err });
    await this.#release();
  }

  /** The end of the task; asks the runtime once. Never rejects. */
  #wait(): Promise<TaskEnd> {
    this.#end ??= this.#askEnd();
    return this.#end;
  }

  async #askEnd(): Promise<TaskEnd> {
    try {
      return await this.#host.runtime.wait(this.#task.ID);
    } catch (error) {
      return { kind: 'exit', code: -1, error: messageOf(error) };
    }
  }

  /** How a stopped task exited. */
  async #exit(): Promise<(TaskEnd & { kind: 'exit' }) | undefined> {
    const first = await this.#wait();
    if (first.kind === 'exit') return first;
    const second = await this.#askEnd();
    return second.kind === 'exit' ? second : undefined;
  }

  async #sleep(ms: number): Promise<void> {
    await Promise.race([pause(this.#host.clock, ms), aborted(this.#unwanted.signal)]);
  }

  #isUnwanted(): boolean {
    return this.#removed || compareStates(this.#task.DesiredState, 'shutdown') >= 0;
  }

  #pid(): { PID?: number } {
    const pid = this.#host.runtime.pid(this.#task.ID);
    return pid === undefined ? {} : { PID: pid };
  }

  #set(change: StatusChange): void {
    if (this.#closed.signal.aborted) return;
    // The observed state never goes backwards, and a terminal one is final.
    const next = nextStatus(this.#status, change, this.#host.clock.now());
    if (isTerminal(this.#status.State) || compareStates(next.State, this.#status.State) < 0) return;
    this.#status = next;
    this.#changed.fire();
    this.#host.changed(this.#task, next);
  }
}

/** @param open what a port that the spec leaves open leads to the task from */
function portsOf(
  task: Task,
  open: (port: PortConfig) => number = () => 0,
): Pick<StatusChange, 'ports'> {
  const ports = hostPublished(task).map((port) => ({
    ...port,
    PublishedPort: port.PublishedPort || open(port),
  }));
  return ports.length === 0 ? {} : { ports };
}
