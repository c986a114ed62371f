import type { LogLine, LogOptions, LogPlace } from '@swarm/api';
import { RuntimeError } from '../runtime-error.js';
import { ContainerLogSource } from './container-log-source.js';
import type { DockerTask } from './docker-task.js';
import type { EngineClient } from './engine-client.js';
import { EngineError, hasStatus, isConnectionLost } from './engine-error.js';
import type { LogEntry } from './log-decoder.js';
import { type EntryPlace, formatPosition, nanoseconds, STREAMS } from './log-position.js';

/**
 * How far behind the log a mark is set, and how often. The engine copies the two streams side by side, so that
 * a line may stand behind one with a later time.
 */
const MARK_BEHIND_MS = 5_000;
const MARK_EVERY_MS = 60_000;
const NEWLINE = 10;

/**
 * Reads a task's log from the engine: oldest first, in the engine's order. If the engine goes away while
 * following, continues from the same position when it is back.
 * @param place as for `TaskRuntime.logs`
 */
export function readContainerLog(
  engine: EngineClient,
  task: DockerTask,
  options: LogOptions,
  place?: LogPlace,
): AsyncIterable<LogLine> {
  return {
    [Symbol.asyncIterator]() {
      const stop = new AbortController();
      const source = new ContainerLogSource(engine, task, options, place, stop.signal);
      const lines = generate(source, task, options, place !== undefined, stop.signal);
      return {
        next: () => lines.next(),
        return: () => {
          // A generator's own `return` waits for the next line, which may never come.
          stop.abort();
          return lines.return();
        },
      };
    },
  };
}

async function* generate(
  source: ContainerLogSource,
  task: DockerTask,
  options: LogOptions,
  withMarks: boolean,
  signal: AbortSignal,
): AsyncGenerator<LogLine, void, undefined> {
  if (!options.stdout && !options.stderr) return;
  if (options.follow) {
    // For a container that does not run, the engine ends the log at once.
    await Promise.race([task.untilStarted(), aborted(signal)]);
  }
  const { taskId } = task;
  const wanted = STREAMS.filter((stream) => options[stream]);
  const mark = (stream: LogEntry['stream'], place: EntryPlace): LogLine => ({
    ...{ taskId, stream, timestamp: place.timestamp, data: Buffer.alloc(0), partial: true },
    position: formatPosition(place),
  });
  /** Streams whose last piece was not the end of its line. */
  const unfinished = new Map<LogEntry['stream'], LogLine>();
  let markedMs = Number.NEGATIVE_INFINITY;
  try {
    await source.findTail();
    for (const stream of wanted) {
      const place = source.place(stream);
      if (withMarks && place !== undefined) yield mark(stream, place);
    }
    for (;;) {
      try {
        for await (const { stream, timestamp, data } of source.entries()) {
          const partial = data.at(-1) !== NEWLINE;
          const position = formatPosition(source.place(stream)!);
          const line = { taskId, stream, timestamp, data, position };
          const piece: LogLine = partial ? { ...line, partial } : line;
          if (partial) unfinished.set(stream, piece);
          else unfinished.delete(stream);
          yield piece;
          const timeMs = Date.parse(timestamp);
          if (!withMarks || timeMs - markedMs < MARK_EVERY_MS) continue;
          markedMs = timeMs;
          // A stream that wrote nothing goes on from about here, instead of from its beginning.
          const behind = { timestamp: nanoseconds(timeMs - MARK_BEHIND_MS), entries: 0 };
          for (const each of wanted) {
            if (source.place(each) === undefined) yield mark(each, behind);
          }
        }
        // No more of these lines will come.
        if (withMarks) {
          for (const piece of unfinished.values()) {
            const { partial: _, ...end } = piece;
            yield { ...end, data: Buffer.alloc(0) };
          }
        }
        return;
      } catch (error) {
        if (signal.aborted || hasStatus(error, 404)) return;
        if (!isConnectionLost(error)) throw error;
      }
    }
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof EngineError) {
      throw new RuntimeError('failed', `The engine cannot read the log: ${error.message}`, {
        cause: error,
      });
    }
    throw error;
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
