import { setTimeout as delay } from 'node:timers/promises';
import { MS, type Node, SECOND, showControls, type Service, type Task } from '@swarm/api/client';
import type { ApiClient } from '../client/api-client.js';
import type { Output } from '../output/output.js';
import { BarsView } from './bars-view.js';
import { LinesView } from './lines-view.js';
import { isJob, measure, measureJob } from './measure.js';
import { isPaused, pausedLines, toRevision } from './outcome.js';
import type { ProgressView } from './view.js';

const POLL_MS = 200;
const DEFAULT_MONITOR_NS = 5 * SECOND;
/** How long a service whose tasks ended without success has to start others. */
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
}

/**
 * Waits until a service has converged and stayed so for its monitor period, or until a job is complete, and
 * shows the progress.
 * @returns the exit code: 1 when the update paused or was rolled back, or tasks ended that are not restarted
 */
export async function waitForService(
  client: ApiClient,
  serviceId: string,
  output: Output,
  options: WaitOptions,
): Promise<number> {
  const { now = () => performance.now(), sleep = delay } = options;
  const view = viewOn(output, options.quiet);
  let since: number | undefined;
  let ended: number | undefined;
  for (;;) {
    const service = await client.get<Service>(`/services/${serviceId}`);
    const update = service.UpdateStatus;
    if (isPaused(service) && options.asked !== 'change') {
      for (const line of pausedLines(service)) output.error(line);
      return 1;
    }
    const tasks = await client.get<Task[]>('/tasks', {
      filters: { service: { [serviceId]: true }, '_up-to-date': { true: true } },
    });
    const nodes = await client.get<Node[]>('/nodes');
    if (isJob(service)) {
      const job = measureJob(service, tasks, nodes);
      const isComplete = job.total > 0 && job.completed >= job.total;
      const verify = isComplete ? { done: true, text: 'job complete' } : undefined;
      view.show({ kind: 'job', ...job, verify });
      if (isComplete) return 0;
      if (job.active > 0 || tasks.length === 0) since = undefined;
      else {
        since ??= now();
        if (now() - since > IDLE_MS) {
          output.error(`job failed: ${job.waiting ?? 'tasks ended and will not be restarted'}`);
          return 1;
        }
      }
      await sleep(POLL_MS);
      continue;
    }
    const progress = measure(service, tasks, nodes);
    const moving = update?.State === 'updating' || update?.State === 'rollback_started';
    if (progress.running === progress.wanted && !moving) {
      since ??= now();
      const monitorMs = (service.Spec.UpdateConfig?.Monitor || DEFAULT_MONITOR_NS) / MS;
      const leftMs = monitorMs - (now() - since);
      if (leftMs <= 0) {
        if (update?.State === 'rollback_completed' && (options.asked ?? 'update') === 'update') {
          output.error(
            `service rolled back${toRevision(service)}: ${showControls(update.Message)}`,
          );
          return 1;
        }
        const text = `Service ${serviceId} converged`;
        view.show({ kind: 'service', ...progress, verify: { done: true, text } });
        if (update?.State === 'rollback_completed' && !options.quiet)
          output.line(`rolled back${toRevision(service)}`);
        if (isPaused(service)) for (const line of pausedLines(service)) output.error(line);
        return 0;
      }
      const seconds = Math.ceil(leftMs / 1000);
      const text = `Waiting ${seconds} seconds to verify that tasks are stable...`;
      view.show({ kind: 'service', ...progress, verify: { done: false, text } });
    } else {
      since = undefined;
      view.show({ kind: 'service', ...progress, verify: undefined });
      if (
        moving ||
        progress.ended.length === 0 ||
        progress.running + progress.ended.length < progress.wanted
      )
        ended = undefined;
      else {
        ended ??= now();
        if (now() - ended > IDLE_MS) {
          output.error(
            `${progress.ended.length} of ${progress.wanted} tasks ended and are not restarted: ${progress.ended[0]}`,
          );
          return 1;
        }
      }
    }
    await sleep(POLL_MS);
  }
}

function viewOn(output: Output, quiet: boolean): ProgressView {
  if (quiet) return { show() {} };
  return output.live === undefined ? new LinesView(output) : new BarsView(output.live);
}
