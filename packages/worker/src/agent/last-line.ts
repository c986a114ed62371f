import {
  type Clock,
  cutText,
  type LogLine,
  type LogOptions,
  pause,
  showControls,
} from '@swarm/api';
import { LAST_LINE_LIMIT_BYTES, LAST_LINE_LINES, LAST_LINE_WAIT_MS } from './limits.js';

/** What a task logs to. */
export interface TaskLogs {
  logs(taskId: string, options: LogOptions): AsyncIterable<LogLine>;
}

/**
 * Returns the last line that a task that ended wrote, which mostly says why it ended: without control
 * characters, and cut. Undefined when it wrote nothing, or its log cannot be read, or not soon.
 */
export async function lastLine(
  logs: TaskLogs,
  taskId: string,
  clock: Clock,
): Promise<string | undefined> {
  const text = await Promise.race([read(logs, taskId), pause(clock, LAST_LINE_WAIT_MS)]);
  return typeof text === 'string' ? text : undefined;
}

async function read(logs: TaskLogs, taskId: string): Promise<string | undefined> {
  let last: string | undefined;
  const options = { follow: false, stdout: true, stderr: true, tail: LAST_LINE_LINES };
  try {
    for await (const { data } of logs.logs(taskId, options)) {
      const text = new TextDecoder().decode(data).trim();
      if (text !== '') last = text;
    }
  } catch {
    // A log driver that cannot be read, or a log that is gone: the exit code has to do.
  }
  return last === undefined ? undefined : cutText(showControls(last), LAST_LINE_LIMIT_BYTES);
}
