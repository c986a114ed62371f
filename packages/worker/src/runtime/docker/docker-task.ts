import { settledWithin } from '../settled-within.js';
import { hasHealthCheck } from '../health-monitor.js';
import type { PreparedTask, StartProgress, StopOptions, TaskEnd } from '../runtime.js';
import { RuntimeError } from '../runtime-error.js';
import { pause, signalNumber } from '@swarm/api';
import { awaited } from '../awaited.js';
import { endOf } from './container-end.js';
import type { DockerHost } from './docker-host.js';
import { causeOf } from './engine-cause.js';
import { EngineError, hasStatus } from './engine-error.js';
import type { ContainerDetails } from './engine-types.js';
import { HEALTH_OUTPUT_LIMIT, HEALTH_POLL_MS, KILL_LIMIT_MS } from './limits.js';
import { removeContainer } from './remove-container.js';

/** Docker's default when a health check gives none. */
const DEFAULT_RETRIES = 3;
const SIGKILL = 9;

/** A prepared task: its container, health and end, as the engine last reported them. */
export class DockerTask {
  readonly taskId: string;
  readonly containerId: string;
  readonly #host: DockerHost;
  readonly #started = awaited<void>();
  readonly #exited = awaited<TaskEnd>();
  readonly #unhealthy = awaited<TaskEnd>();
  readonly #healthy = awaited<void>();
  #state: 'prepared' | 'running' | 'ended' = 'prepared';
  #pid: number | undefined;
  #end: TaskEnd | undefined;
  #details: ContainerDetails | undefined;
  #isHealthy = false;
  #isUnhealthy = false;
  #unhealthyTold = false;
  #starting: Promise<void> | undefined;
  #stopped = false;

  constructor(taskId: string, containerId: string, host: DockerHost) {
    this.taskId = taskId;
    this.containerId = containerId;
    this.#host = host;
  }

  get state(): 'prepared' | 'running' | 'ended' {
    return this.#state;
  }

  get prepared(): PreparedTask {
    return { containerId: this.containerId };
  }

  get pid(): number | undefined {
    return this.#state === 'running' ? this.#pid : undefined;
  }

  get details(): ContainerDetails | undefined {
    return this.#details;
  }

  /** Resolves when the task runs, has run, or never will. */
  untilStarted(): Promise<unknown> {
    return Promise.race([this.#started.promise, this.#exited.promise]);
  }

  /** Reads the container's state from the engine. */
  async refresh(): Promise<void> {
    if (this.#state === 'ended') return;
    try {
      const path = `/containers/${this.containerId}/json`;
      this.observe(await this.#host.engine.json<ContainerDetails>('GET', path));
    } catch (error) {
      if (!hasStatus(error, 404)) throw error;
      this.#finish({
        kind: 'exit',
        code: -1,
        error: 'somebody else removed its container, so the exit code is lost',
      });
    }
  }

  /** Takes in the container's state. An ended task stays ended. */
  observe(details: ContainerDetails): void {
    if (this.#state === 'ended') return;
    this.#details = details;
    const { State } = details;
    switch (State.Status) {
      case 'created':
        // A failed start leaves the container as created, with an error.
        if (State.Error !== '') this.#finish(endOf(details));
        return;
      case 'exited':
      case 'dead':
        this.#finish(endOf(details));
        return;
      case 'removing':
        return;
      default:
        this.#state = 'running';
        this.#pid = State.Pid;
        this.#started.resolve();
        this.#observeHealth(details);
    }
  }

  /**
   * Starts the container unless it runs, then waits until it is healthy. One without a health check that
   * has already ended counts as started; `wait` says how it ended.
   */
  async start(progress: StartProgress): Promise<void> {
    if (this.#state === 'ended') throw new RuntimeError('ended', 'The task has already ended.');
    if (this.#state === 'prepared') {
      this.#starting ??= this.#launch();
      await this.#starting;
    }
    progress.started();
    if (!this.#checked || this.#isHealthy) return;
    if (this.#end === undefined) await this.#untilHealthy(progress);
    if (this.#end !== undefined || this.#isUnhealthy) {
      throw new RuntimeError('ended', 'The task ended before it became healthy.');
    }
  }

  async wait(): Promise<TaskEnd> {
    if (this.#end !== undefined) return this.#end;
    if (this.#unhealthyTold) return this.#exited.promise;
    return Promise.race([
      this.#exited.promise,
      this.#unhealthy.promise.then((end) => {
        this.#unhealthyTold = true;
        return end;
      }),
    ]);
  }

  /** Stops the container, which stays for its logs unless it never ran. */
  async stop(options: StopOptions): Promise<void> {
    this.#stopped = true;
    // A container that is just being started cannot be judged before the start is over.
    await this.#starting?.catch(() => {});
    await this.refresh();
    if (this.#state === 'prepared') {
      const { engine, clock } = this.#host;
      await removeContainer(engine, clock, this.containerId);
      this.#finish({ kind: 'exit', code: -1, error: 'never started' });
    } else if (this.#state === 'running') await this.#endRunning(options);
  }

  /** Kills what still runs, and removes the container with its anonymous volumes and its log. */
  async remove(): Promise<void> {
    this.#stopped = true;
    await this.#starting?.catch(() => {});
    const { engine, clock } = this.#host;
    await removeContainer(engine, clock, this.containerId);
    if (this.#end === undefined) this.#finish({ kind: 'exit', code: -1, error: 'removed' });
  }

  async #launch(): Promise<void> {
    if (this.#stopped) {
      throw new RuntimeError('ended', 'The task was stopped before it was started.');
    }
    const path = `/containers/${this.containerId}/start`;
    try {
      await this.#host.engine.json('POST', path);
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      const cause = causeOf(error.message);
      await this.refresh();
      // The container's own state may say less: a missing sandbox is not the container's fault.
      if (this.#state !== 'ended') {
        this.#finish({ kind: 'exit', code: -1, error: cause });
      }
      throw new RuntimeError('failed', `${cause} (the engine cannot start the container)`, {
        cause: error,
      });
    }
    await this.refresh();
  }

  get #checked(): boolean {
    const config = this.#details?.Config.Healthcheck;
    return hasHealthCheck(config?.Test ? { Test: config.Test } : undefined);
  }

  /** The engine only reports that health changed; what the check prints has to be looked up. */
  async #untilHealthy(progress: StartProgress): Promise<void> {
    const { clock } = this.#host;
    progress.waiting('waiting for the health check to pass');
    const settled = Promise.race([
      this.#healthy.promise,
      this.#unhealthy.promise,
      this.#exited.promise,
    ]).then(() => true);
    let said = '';
    while (!(await Promise.race([settled, pause(clock, HEALTH_POLL_MS).then(() => false)]))) {
      if (this.#host.engine.closed) {
        throw new RuntimeError('aborted', 'The daemon is stopping; the task keeps running.');
      }
      await this.refresh();
      const failed = this.#failedCheck();
      if (failed === undefined || failed === said) continue;
      said = failed;
      progress.waiting(`waiting for the health check to pass; ${failed}`);
    }
  }

  /** Describes a failing check: `failed 2 of 3 times, it printed: …`. */
  #failedCheck(): string | undefined {
    const health = this.#details?.State.Health;
    if (health === undefined || (health.Log?.at(-1)?.ExitCode ?? 0) === 0) return undefined;
    if (health.FailingStreak === 0) return `in its start period, ${this.#printed()}`;
    const times = Math.min(health.FailingStreak, this.#retries);
    return `failed ${times} of ${this.#retries} times, ${this.#printed()}`;
  }

  #printed(): string {
    const output = this.#details?.State.Health?.Log?.at(-1)?.Output.trim() ?? '';
    return output === ''
      ? 'it printed nothing'
      : `it printed: ${output.slice(0, HEALTH_OUTPUT_LIMIT)}`;
  }

  get #retries(): number {
    return this.#details?.Config.Healthcheck?.Retries || DEFAULT_RETRIES;
  }

  #observeHealth({ State }: ContainerDetails): void {
    const status = State.Health?.Status;
    if (status === 'healthy') {
      this.#isHealthy = true;
      this.#healthy.resolve();
    }
    if (status !== 'unhealthy' || this.#isUnhealthy) return;
    this.#isUnhealthy = true;
    this.#unhealthy.resolve({
      kind: 'unhealthy',
      message: `unhealthy: the health check failed ${this.#retries} times in a row, ${this.#printed()}`,
    });
  }

  async #endRunning({ graceMs, signal }: StopOptions): Promise<void> {
    const own = this.#details?.Config.StopSignal || 'SIGTERM';
    const number = signalNumber(signal || own) ?? signalNumber(own) ?? 15;
    if (graceMs > 0 && number !== SIGKILL) {
      await this.#kill(number);
      await this.#endWithin(graceMs);
    }
    if (this.#end !== undefined) return;
    await this.#kill(SIGKILL);
    await this.#endWithin(KILL_LIMIT_MS);
    if (this.#end === undefined) {
      throw new RuntimeError(
        'failed',
        `The container ${this.containerId.slice(0, 12)} does not die from SIGKILL: see the engine's log.`,
      );
    }
  }

  async #kill(signal: number): Promise<void> {
    try {
      await this.#host.engine.json('POST', `/containers/${this.containerId}/kill`, {
        query: { signal },
      });
    } catch (error) {
      // It ended by itself meanwhile.
      if (!hasStatus(error, 404, 409)) throw error;
      await this.refresh();
    }
  }

  /** Waits for the event of the container's end, and polls as well. */
  async #endWithin(limitMs: number): Promise<void> {
    const { clock } = this.#host;
    const deadlineMs = clock.monotonicMs() + limitMs;
    while (this.#end === undefined) {
      const leftMs = deadlineMs - clock.monotonicMs();
      if (leftMs <= 0) return;
      await settledWithin(clock, this.#exited.promise, Math.min(leftMs, HEALTH_POLL_MS));
      await this.refresh();
    }
  }

  #finish(end: TaskEnd): void {
    this.#state = 'ended';
    this.#end = end;
    this.#exited.resolve(end);
  }
}
