import { setTimeout as delay } from 'node:timers/promises';
import { MS, type Node, SECOND, showControls, type Service, type Task } from '@swarm/api/client';
import type { ApiClient } from '../client/api-client.js';
import { interruptible, type SignalSource } from '../interrupt.js';
import type { Output } from '../output/output.js';
import { BarsView } from './bars-view.js';
import { LinesView } from './lines-view.js';
import { isJob, measure, measureJob } from './measure.js';
import { isPaused, pausedLines, toRevision } from './outcome.js';
import type { ProgressView } from './view.js';

const POLL_MS = 200;
const DEFAULT_MONITOR_NS = 5 * SECOND;
/** How long a service or job whose tasks all ended has to start others. */
const IDLE_MS = 3_000;

export interface WaitOptions {
  readonly quiet: boolean;
  /**
   * What the user asked for. A rollback fails an `update`; a `rollback` is meant to come to one; a `change` of
   * numbers, labels or settings has no roll-out, so none can fail it. Default: `update`.
   */
  readonly asked?: 'update' | 'rollback' | 'change';
  /** Time and waiting; passed in by tests. */
  readonly now?: () => number;
  readonly sleep?: (ms: number) => Promise<void>;
  /** Where Ctrl-C arrives. */
  readonly signals?: SignalSource;
}

/**
 * Waits until a service has converged and stayed so for its monitor period, or until a job is complete, and
 * shows the progress. Ctrl-C ends the waiting, not what it waits for.
 * @returns the exit code: 1 when the update paused or was rolled back, or when tasks ended that will not be
 * restarted; 130 after Ctrl-C
 */
export async function waitForService(
  client: ApiClient,
  serviceId: string,
  output: Output,
  options: WaitOptions,
): Promise<number> {
  const waiting = new ServiceWait(client, serviceId, output, options);
  return interruptible(options.signals ?? process, waiting.run(), () => waiting.interrupt());
}

class ServiceWait {
  readonly #client: ApiClient;
  readonly #serviceId: string;
  readonly #output: Output;
  readonly #options: WaitOptions;
  readonly #view: ProgressView;
  readonly #now: () => number;
  #name: string;
  /** Since when it is as it should be, or idle. */
  #since: number | undefined;
  #isOver = false;
  /** Why the update that goes back failed, once that is known. */
  #cause: string | undefined;

  constructor(client: ApiClient, serviceId: string, output: Output, options: WaitOptions) {
    this.#client = client;
    this.#serviceId = serviceId;
    this.#name = serviceId;
    this.#output = output;
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#view = viewOn(output, options.quiet);
  }

  async run(): Promise<number> {
    const { sleep = delay } = this.#options;
    for (;;) {
      const code = await this.#look();
      if (code !== undefined) return code;
      await sleep(POLL_MS);
    }
  }

  /** The user waits no longer. */
  interrupt(): void {
    this.#isOver = true;
    this.#client.close();
    const name = showControls(this.#name);
    this.#output.error(
      `Interrupted: the cluster goes on without this command. 'swarm service ps ${name}' shows how far it is.`,
    );
  }

  /** One look at the cluster; returns the exit code once it is known. */
  async #look(): Promise<number | undefined> {
    const service = await this.#client.get<Service>(`/services/${this.#serviceId}`);
    this.#name = service.Spec.Name;
    const tasks = await this.#client.get<Task[]>('/tasks', {
      filters: { service: { [this.#serviceId]: true }, '_up-to-date': { true: true } },
    });
    const nodes = await this.#client.get<Node[]>('/nodes');
    await this.#learnCause(service, nodes);
    if (this.#isOver) return 1;
    if (isPaused(service) && this.#options.asked !== 'change') {
      const [what, ...others] = pausedLines(service);
      const causes = measure(service, tasks, nodes).failures.map((cause) => `failed: ${cause}`);
      return this.#fail([what, ...causes, ...others].join('\n'));
    }
    return isJob(service)
      ? this.#lookAtJob(service, tasks, nodes)
      : this.#lookAtService(service, tasks, nodes);
  }

  /**
   * Remembers why the update failed, while its rollback says whose failure it was: afterwards its tasks are no
   * longer those of the service's spec, and the message is about the rollback.
   */
  async #learnCause(service: Service, nodes: readonly Node[]): Promise<void> {
    const { UpdateStatus: update } = service;
    const { asked = 'update' } = this.#options;
    if (asked !== 'update' || update?.State !== 'rollback_started' || this.#cause !== undefined)
      return;
    const tasks = await this.#client.get<Task[]>('/tasks', {
      filters: { service: { [this.#serviceId]: true } },
    });
    const culprit = tasks.filter(({ ID: id }) => update.Message.includes(id));
    [this.#cause] = measure(service, culprit, nodes).failures;
  }

  #lookAtJob(service: Service, tasks: readonly Task[], nodes: readonly Node[]): number | undefined {
    const job = measureJob(service, tasks, nodes);
    const isComplete = job.total > 0 && job.completed >= job.total;
    const verify = isComplete ? { done: true, text: 'job complete' } : undefined;
    this.#view.show({ kind: 'job', ...job, verify });
    if (isComplete) return 0;
    if (!this.#idleFor(IDLE_MS, job.active === 0 && tasks.length > 0)) return undefined;
    const [cause] = job.failures;
    return this.#fail(`job failed: ${cause ?? 'tasks ended and will not be restarted'}`);
  }

  #lookAtService(
    service: Service,
    tasks: readonly Task[],
    nodes: readonly Node[],
  ): number | undefined {
    const progress = measure(service, tasks, nodes);
    const update = service.UpdateStatus;
    const isMoving = update?.State === 'updating' || update?.State === 'rollback_started';
    if (progress.running !== progress.wanted || isMoving) {
      this.#view.show({ kind: 'service', ...progress, verify: undefined });
      if (!this.#idleFor(IDLE_MS, progress.isOver && !isMoving)) return undefined;
      const [cause] = progress.failures;
      return this.#fail(`service failed: ${cause ?? 'tasks ended and will not be restarted'}`);
    }
    this.#since ??= this.#now();
    const monitorMs = (service.Spec.UpdateConfig?.Monitor || DEFAULT_MONITOR_NS) / MS;
    const leftMs = monitorMs - (this.#now() - this.#since);
    if (leftMs > 0) {
      const seconds = Math.ceil(leftMs / 1000);
      const text = `Waiting ${seconds} seconds to verify that tasks are stable...`;
      this.#view.show({ kind: 'service', ...progress, verify: { done: false, text } });
      return undefined;
    }
    const wentBack = update?.State === 'rollback_completed';
    const { asked = 'update', quiet } = this.#options;
    if (wentBack && asked === 'update') {
      const cause = this.#cause === undefined ? '' : `\nfailed: ${this.#cause}`;
      return this.#fail(
        `service rolled back${toRevision(service)}: ${showControls(update.Message)}${cause}`,
      );
    }
    const text = `Service ${this.#serviceId} converged`;
    this.#view.show({ kind: 'service', ...progress, verify: { done: true, text } });
    if (wentBack && !quiet) this.#output.line(`rolled back${toRevision(service)}`);
    if (isPaused(service)) this.#output.error(pausedLines(service).join('\n'));
    return 0;
  }

  /** Whether nothing has been going on for this long; anything else starts the time again. */
  #idleFor(ms: number, isIdle: boolean): boolean {
    if (!isIdle) this.#since = undefined;
    else this.#since ??= this.#now();
    return this.#since !== undefined && this.#now() - this.#since > ms;
  }

  #fail(message: string): number {
    this.#output.error(message);
    return 1;
  }
}

function viewOn(output: Output, quiet: boolean): ProgressView {
  if (quiet) return { show() {} };
  return output.live === undefined ? new LinesView(output) : new BarsView(output.live);
}
