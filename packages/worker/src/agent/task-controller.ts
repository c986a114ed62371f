import { isDeepStrictEqual } from 'node:util';
import {
  backoffMs,
  compareStates,
  isTerminal,
  pause,
  type Task,
  type TaskState,
  type TaskStatus,
} from '@swarm/api';
import type { TaskRefusals } from '@swarm/routing-mesh';
import type { LeftTask, TaskEnd } from '../runtime/runtime.js';
import { messageOf, RuntimeError } from '../runtime/runtime-error.js';
import type { StoredTask } from './agent-storage.js';
import { lastLine } from './last-line.js';
import { PREPARE_RETRY_MS, PREPARE_TRIES, RETRY_MS } from './limits.js';
import { type KnownTask, ObservedTask } from './observed-task.js';
import { aborted } from './signal.js';
import type { TaskHost } from './task-host.js';
import { TaskListening } from './task-listening.js';
import { portsOf, PREPARING, TaskPreparation } from './task-preparation.js';
import { TaskRevival } from './task-revival.js';
import { endSentence, readyMessage, stopGraceMs, stopMessage } from './task-status.js';
import { TaskStop } from './task-stop.js';

/**
 * Drives one task from its observed state to its desired state, step by step (SwarmKit's `Do`):
 *
 * - desired `shutdown` or `remove` while alive: drain, stop, SHUTDOWN;
 * - leaves ACCEPTED and READY only when the desired state is beyond;
 * - PREPARING, STARTING and RUNNING may run past the desired state;
 * - a failure before STARTING is REJECTED, from there on FAILED.
 */
export class TaskController {
  readonly #host: TaskHost;
  readonly #observed: ObservedTask;
  readonly #preparation: TaskPreparation;
  readonly #listening: TaskListening;
  readonly #revival: TaskRevival;
  readonly #stop: TaskStop;
  readonly #done: Promise<void>;

  /** Attempts of clients that were refused while this daemon ran. */
  readonly #refused = new Map<TaskRefusals['by'], { total: number; why: string }>();

  constructor(known: KnownTask, host: TaskHost) {
    const observed = new ObservedTask(known, host);
    this.#host = host;
    this.#observed = observed;
    this.#preparation = new TaskPreparation(observed, host);
    this.#listening = new TaskListening(observed, host);
    this.#revival = new TaskRevival(observed, host, this.#preparation, this.#listening);
    this.#stop = new TaskStop(observed, host);
    this.#done = this.#run(known.found);
  }

  get task(): Task {
    return this.#observed.task;
  }

  get status(): TaskStatus {
    return this.#observed.status;
  }

  /** Takes its networks anew, one change after the other. */
  #joining: Promise<void> = Promise.resolve();

  /** What is kept of it on disk. */
  get record(): StoredTask {
    return this.#observed.record;
  }

  /** Whether the runtime has anything of the task, so that there are logs. */
  get hasLogs(): boolean {
    return this.#observed.isPrepared;
  }

  /** Whether the task should stop, as far as this node knows. */
  get isUnwanted(): boolean {
    return this.#observed.isUnwanted;
  }

  /** The manager changed the task. Its desired state only rises. */
  update(task: Task): void {
    const before = this.#observed.task.NetworksAttachments;
    this.#observed.update(task);
    // An operator connected it to a network while it runs, or disconnected it.
    const isMoved = !isDeepStrictEqual(before, task.NetworksAttachments);
    if (isMoved && this.#observed.status.State === 'running')
      this.#joining = this.#joining.then(() => this.#adopt());
  }

  /** Of a change that could not be read whole, the desired state still counts. */
  raise(desired: TaskState): void {
    this.#observed.raise(desired);
  }

  /**
   * Tells how many clients no rule of its service admits, and how many were beyond limits here. Another message of
   * a running task comes first.
   */
  refused({ by, count, last }: TaskRefusals): void {
    const { State, Ready } = this.#observed.status;
    if (State !== 'running' || Ready === false || this.#observed.isUnwanted) return;
    const total = (this.#refused.get(by)?.total ?? 0) + count;
    const attempts = total === 1 ? '1 attempt' : `${total} attempts`;
    const port = last.port === 0 ? last.protocol : `${last.protocol}/${last.port}`;
    const why =
      by === 'rules'
        ? `refused ${attempts} to reach it that no rule of its service allows, one from ${last.from} to ${port}`
        : `this node refused ${attempts} beyond the limits of a client, one from ${last.from} to published port ${port}`;
    this.#refused.set(by, { total, why });
    const all = [...this.#refused.values()].map((each) => each.why);
    this.#observed.set({ Message: ['running', ...all].join('; ') });
  }

  /**
   * The assignment is gone: stops the task and removes everything of it.
   * @returns false when the daemon ended first; then the next one has to do it
   */
  async remove(): Promise<boolean> {
    this.#observed.remove();
    await this.#done;
    return !this.#observed.closed.aborted;
  }

  /** Lets go of the task, which keeps running. */
  close(): Promise<void> {
    this.#observed.close();
    return this.#done;
  }

  /** Resolves when the runtime has the task, or never will. */
  async untilPrepared(): Promise<void> {
    while (
      !this.#observed.isPrepared &&
      !isTerminal(this.#observed.status.State) &&
      !this.#observed.isRemoved
    ) {
      await this.#observed.news();
    }
  }

  /** Resolves when the task has ended, or the daemon lets go of it. */
  async untilEnded(): Promise<void> {
    while (!isTerminal(this.#observed.status.State) && !this.#observed.closed.aborted) {
      await this.#observed.news();
    }
  }

  async #run(found: LeftTask | undefined): Promise<void> {
    try {
      // The creator must have stored this controller before the first status arrives.
      await Promise.resolve();
      await this.#resume(found);
      while (!this.#observed.isRemoved && !this.#observed.closed.aborted) await this.#step();
      if (this.#observed.isRemoved && !this.#observed.closed.aborted) await this.#tearDown();
    } catch (error) {
      // Runtime errors are handled where they arise; this one is a bug of ours and must be visible.
      this.#observed.logger.error(
        { error: messageOf(error), err: error },
        'the task controller failed',
      );
      if (!isTerminal(this.#observed.status.State)) {
        this.#observed.set({
          State: 'failed',
          Message: 'failed',
          Err: `bug in the agent: ${messageOf(error)}`,
        });
      }
      if (this.#observed.isRemoved) await this.#tearDown();
    }
  }

  /** Brings a task of an earlier run in line with what the runtime still has. */
  async #resume(found: LeftTask | undefined): Promise<void> {
    const { State } = this.#observed.status;
    if (isTerminal(State)) {
      if (found !== undefined) await this.#stop.release();
      return;
    }
    if (compareStates(State, 'starting') < 0) {
      // A runtime that lost it (a reboot took its namespace) makes it again; the state does not go back.
      return;
    }
    if (found?.state === 'running') {
      // A userspace mesh forgets with its process where a task without a network listens.
      if (this.#observed.status.Address !== undefined) await this.#reattach();
      else void this.#adopt();
      // An agent of an earlier version did not report them, and took the target port for one left open.
      const ports = portsOf(this.#observed.task, ({ TargetPort }) => TargetPort);
      if (this.#observed.status.PortStatus === undefined && ports.ports !== undefined)
        this.#observed.set({ Message: this.#observed.status.Message, ...ports });
      if (State === 'running') this.#listening.watch();
      return;
    }
    if (State === 'starting' && found?.state === 'prepared') return;
    await this.#onEnd(await this.#observed.wait());
  }

  async #reattach(): Promise<void> {
    try {
      await this.#preparation.attach();
    } catch (error) {
      this.#observed.logger.error({ error: messageOf(error) }, 'could not reattach a task');
    }
  }

  /** In the background: the task runs, and may have to stop meanwhile. */
  async #adopt(): Promise<void> {
    for (let tries = 1; !this.#observed.unwanted.aborted; tries += 1) {
      try {
        await this.#preparation.adopt();
        return;
      } catch (error) {
        if (this.#observed.unwanted.aborted || this.#observed.closed.aborted) return;
        this.#observed.logger.error(
          { error: messageOf(error) },
          'could not take over the networks of a task, trying again',
        );
        await pause(this.#host.clock, backoffMs(tries, RETRY_MS));
      }
    }
  }

  async #step(): Promise<void> {
    const { State } = this.#observed.status;
    const desired = this.#observed.task.DesiredState;
    if (isTerminal(State)) await this.#observed.news();
    else if (this.#observed.isUnwanted) await this.#shutDown();
    else if (State === 'accepted' || State === 'ready') {
      if (compareStates(desired, State) <= 0) await this.#pause();
      else if (State === 'accepted') this.#observed.set({ State: 'preparing', Message: PREPARING });
      else this.#observed.set({ State: 'starting', Message: 'starting' });
    } else if (State === 'preparing') await this.#prepare();
    else if (State === 'starting') await this.#start();
    else if (State === 'running') await this.#supervise();
    else this.#observed.set({ State: 'accepted', Message: 'accepted by its node' });
  }

  async #pause(): Promise<void> {
    const Message =
      this.#observed.status.State === 'ready'
        ? readyMessage(this.#observed.task, this.#host.clock.now())
        : 'accepted by its node: waiting for permission to prepare it';
    if (this.#observed.status.Message !== Message) this.#observed.set({ Message });
    await this.#observed.news();
  }

  async #prepare(): Promise<void> {
    for (let tried = 1; ; tried += 1) {
      try {
        await this.#preparation.prepare();
        if (this.#observed.isPrepared)
          this.#observed.set({ State: 'ready', Message: 'ready to start' });
        return;
      } catch (error) {
        if (this.#observed.unwanted.aborted) return;
        const rejected = error instanceof RuntimeError && error.reason === 'rejected';
        if (rejected || tried === PREPARE_TRIES) {
          const Err = messageOf(error);
          this.#observed.set({ State: 'rejected', Message: 'cannot run on this node', Err });
          await this.#stop.release();
          return;
        }
        this.#observed.set({ Message: `preparation failed, trying again: ${messageOf(error)}` });
        await this.#observed.sleep(backoffMs(tried, PREPARE_RETRY_MS));
      }
    }
  }

  async #start(): Promise<void> {
    const { runtime, clock } = this.#host;
    const { unwanted: signal } = this.#observed;
    try {
      if (!this.#observed.isPrepared) await this.#preparation.prepare();
    } catch (error) {
      await this.#fail('could not be prepared again', messageOf(error));
      return;
    }
    const leave = await this.#preparation.turn('starting');
    if (leave === undefined || !this.#observed.isPrepared) {
      leave?.();
      return;
    }
    const starting = runtime.start(this.#observed.task.ID, {
      started: () => {
        // A health check may take minutes; others need not wait for it.
        leave();
        this.#observed.set({ Message: 'started', ...this.#observed.pid });
      },
      waiting: (Message) => this.#observed.set({ Message }),
    });
    try {
      await Promise.race([starting, aborted(signal)]);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof RuntimeError && error.reason === 'ended') {
        await this.#onEnd(await this.#observed.wait());
      } else await this.#fail('could not be started', messageOf(error));
      return;
    } finally {
      leave();
      starting.catch(() => {}); // Stopping it makes its start fail, which is expected.
    }
    if (signal.aborted) return;
    await this.#listening.setRunning('running');
    this.#observed.logger.debug({ atMs: clock.now() }, 'task runs');
  }

  async #supervise(): Promise<void> {
    const end = await Promise.race([this.#observed.wait(), this.#observed.news()]);
    if (end !== undefined && !this.#observed.unwanted.aborted) await this.#onEnd(end);
  }

  /** The task ended, or has to be ended, without a request to stop. */
  async #onEnd(end: TaskEnd): Promise<void> {
    this.#observed.isEnded = true;
    if (end.kind === 'exit' && (await this.#revival.revive(end))) return;
    if (this.#observed.closed.aborted) return;
    if (this.#observed.isUnwanted) return; // It should stop meanwhile: SHUTDOWN says more than FAILED.
    if (end.kind === 'unhealthy') {
      const Err = endSentence(end);
      this.#observed.set({ Message: `stopping because it is ${Err}`, Ready: false });
      await this.#stop.stop();
      this.#observed.set({ State: 'failed', Message: 'failed', Err });
    } else if (end.code === 0) {
      this.#observed.set({ State: 'complete', Message: 'finished', ExitCode: 0 });
    } else {
      const { runtime, clock } = this.#host;
      const said =
        end.error === undefined
          ? await lastLine(runtime, this.#observed.task.ID, clock)
          : undefined;
      if (this.#observed.closed.aborted || this.#observed.isUnwanted) return;
      const Err = endSentence(end, said);
      this.#observed.set({ State: 'failed', Message: 'failed', Err, ExitCode: end.code });
    }
    await this.#stop.release();
  }

  async #shutDown(): Promise<void> {
    const running = this.#observed.status.State === 'running' && !this.#observed.isEnded;
    if (running) await this.#stop.drain();
    const started = compareStates(this.#observed.status.State, 'starting') >= 0;
    const graceMs = stopGraceMs(this.#observed.task);
    if (started && !this.#observed.isEnded) {
      const Message = stopMessage(
        `stopping, with a grace period of ${graceMs} ms`,
        this.#observed.task,
      );
      this.#observed.set({ Message });
    }
    await this.#stop.stop();
    if (this.#observed.closed.aborted) return;
    const end = started ? await this.#observed.exit() : undefined;
    this.#observed.set({
      State: 'shutdown',
      Message: stopMessage(
        started ? 'shut down' : 'shut down before it was started',
        this.#observed.task,
      ),
      ...(end === undefined || end.code < 0 ? {} : { ExitCode: end.code }),
    });
    await this.#stop.release();
  }

  async #tearDown(): Promise<void> {
    if (!isTerminal(this.#observed.status.State)) await this.#shutDown();
    await this.#stop.removeSandbox();
  }

  async #fail(message: string, Err: string): Promise<void> {
    this.#observed.set({ State: 'failed', Message: message, Err });
    await this.#stop.release();
  }
}
