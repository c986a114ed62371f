import { ApiError, backoffMs, type Clock, compareStates, pause } from '@swarm/api';
import type { View } from '../store/store.js';
import { LEADERLESS_LIMITS_MS, LEADERLESS_NOTICE_MS, PLACES_SLACK, RESUME_MS } from './limits.js';
import type { LogItem, LogRequest } from './log-item.js';
import { LogPlaces } from './log-places.js';
import { selectedTasks } from './selector.js';

export interface ResumedLogsOptions {
  readonly request: LogRequest;
  readonly view: View;
  readonly clock: Clock;
  /** Ends the stream early. */
  readonly signal: AbortSignal;
  /**
   * A stream from the leader of this moment, with an `open` as its first item. Throws ApiError NO_QUORUM or
   * TIMEOUT when there is none, or while it is read when that leader is gone; any other error ends the logs.
   */
  readonly open: (request: LogRequest, signal: AbortSignal) => AsyncIterable<LogItem>;
}

/**
 * Logs that outlive leaders: when one is gone, goes on with the next where the stream broke off, without a line
 * twice or one lost as far as the nodes keep it.
 * @throws ApiError the last one, after LEADERLESS_LIMITS_MS without a leader
 */
export async function* resumedLogs(options: ResumedLogsOptions): AsyncGenerator<LogItem> {
  const { request, view, clock, signal, open } = options;
  const { follow } = request.options;
  const isKept = (taskId: string): boolean => view.get('task', taskId) !== undefined;
  const places = new LogPlaces(request.resume);
  // Tasks that come after this are read whole, whenever they are found.
  for (const task of selectedTasks(view, request.selector)) {
    if (compareStates(task.Status.State, 'assigned') > 0) places.add(task.ID);
  }
  let placesLimit = places.size + PLACES_SLACK;
  let begun = false;
  let failures = 0;
  let lostMs = clock.monotonicMs();
  let told = false;
  while (!signal.aborted) {
    let openedMs: number | undefined;
    let isServed = false;
    try {
      const resume = begun ? { resume: places.list() } : {};
      for await (const item of open({ ...request, ...resume }, signal)) {
        if (item.type === 'open') {
          if (!begun) yield item;
          begun = true;
          openedMs = clock.monotonicMs();
          continue;
        }
        isServed = true;
        told = false;
        if (item.type === 'line') places.advance(item.line);
        if (places.size > placesLimit) {
          places.keep(isKept);
          placesLimit = places.size + PLACES_SLACK;
        }
        yield item;
      }
      return;
    } catch (error) {
      if (signal.aborted) return;
      if (!isLeaderGone(error)) throw error;
      const nowMs = clock.monotonicMs();
      // One that opens and breaks off at once is as good as none.
      if (openedMs !== undefined && (isServed || nowMs - openedMs >= RESUME_MS.maxMs)) {
        lostMs = nowMs;
        told = false;
        failures = 0;
      }
      const limits = LEADERLESS_LIMITS_MS;
      if (nowMs - lostMs >= (begun ? (follow ? limits.follow : limits.once) : limits.first))
        throw error;
      if (begun && follow && !told && nowMs - lostMs >= LEADERLESS_NOTICE_MS) {
        told = true;
        yield {
          type: 'notice',
          message: 'the cluster has no leader: the log goes on when it has one',
        };
      }
    }
    failures += 1;
    await pause(clock, backoffMs(failures, RESUME_MS));
  }
}

function isLeaderGone(error: unknown): boolean {
  return error instanceof ApiError && (error.code === 'NO_QUORUM' || error.code === 'TIMEOUT');
}
