import { setTimeout as delay } from 'node:timers/promises';
import type { Service, Task } from '@swarm/api';
import { type ApiClient, DaemonError, type Query } from '../client/api-client.js';
import { followLog, type LogFollowerOptions } from '../client/log-follower.js';
import { type LogFrame, LogFrames } from '../client/log-frames.js';
import { LogMarks } from '../client/log-marks.js';
import { managersAt } from '../client/managers.js';
import { type Command, UsageError } from '../command.js';
import { parseDuration } from '../flags/values.js';
import {
  isNotice,
  type LogDetails,
  logPrefix,
  nodeIdOf,
  type ReadLogLine,
  readLogLine,
  showLogLine,
  taskIdOf,
} from '../output/log-line.js';
import type { Output } from '../output/output.js';
import { LogNames } from './log-names.js';

/** `service logs`: prints the lines of all tasks of a service (or of one task), each with its task as prefix. */
export const LOGS: Command = {
  path: ['service', 'logs'],
  usage: '[OPTIONS] SERVICE|TASK',
  about: 'Fetch the logs of a service or task.',
  flags: {
    details: { type: 'boolean', about: 'show details of the log driver with each line' },
    follow: { type: 'boolean', short: 'f', about: 'keep showing new lines' },
    'no-resolve': { type: 'boolean', about: 'do not map ids to names' },
    'no-task-ids': { type: 'boolean', about: 'do not show task ids' },
    'no-trunc': { type: 'boolean', about: 'do not shorten ids' },
    raw: { type: 'boolean', about: 'lines only, no prefix' },
    since: { type: 'string', about: 'since a time (2013-01-02T13:23:37Z) or a duration ago (42m)' },
    tail: {
      type: 'string',
      short: 'n',
      about: 'lines to show from the end of each log',
      default: 'all',
    },
    timestamps: { type: 'boolean', short: 't', about: 'show timestamps' },
  },
  least: 1,
  most: 1,
  completes: ['service', 'task'],
  examples: [
    { line: 'service logs --follow --tail 20 web', about: 'the last lines, then new ones' },
    { line: 'service logs --since 10m --timestamps web', about: 'ten minutes back' },
  ],
  async run({ args, client, output }) {
    const name = args.positionals[0]!;
    const tail = args.string('tail') ?? 'all';
    if (tail !== 'all' && !/^\d+$/.test(tail))
      throw new UsageError(`invalid argument '${tail}' for --tail: use a number or 'all'`);
    const since = args.string('since');
    const raw = args.boolean('raw');
    const details = args.boolean('details');
    const timestamps = args.boolean('timestamps');
    const follow = args.boolean('follow');
    const target = await find(client, name);
    if (target.tty && !raw)
      throw new UsageError(
        'the log of a service with --tty is a single stream: add --raw to see it',
      );
    // To go on after a break, a follower needs to know whose each line is, and when it was written.
    const sent = {
      timestamps: timestamps || (follow && !target.tty),
      details: details || !raw || (follow && !target.tty),
    };
    const query = {
      stdout: 1,
      stderr: 1,
      details: sent.details ? 1 : undefined,
      tail,
      follow: follow ? 1 : undefined,
      timestamps: sent.timestamps ? 1 : undefined,
      since: since === undefined ? undefined : sinceSeconds(since, Date.now()),
      // We show tasks that have no name any more.
      removed: follow ? 1 : undefined,
    };
    const source = {
      ...{ path: target.path, query, follow },
      clients: async () => (follow ? managersAt(client) : [client]),
      mention: (message: string) => output.error(`swarm: ${message}`),
      time: { now: () => performance.now(), pause: (ms: number) => delay(ms) },
    };
    if (target.tty) {
      const resume = () => ({ ...query, tail: '0', since: undefined });
      const decode = (response: AsyncIterable<Buffer>) => response;
      for await (const chunk of followLog({ ...source, resume, decode })) output.write(chunk);
      return 0;
    }
    const options = { timestamps, details };
    if (raw) return print({ source, sent, output, show: (line) => showLogLine(line, options) });
    const names = new LogNames(client, {
      resolve: !args.boolean('no-resolve'),
      taskIds: !args.boolean('no-task-ids'),
      full: args.boolean('no-trunc'),
    });
    await names.begin(target.taskQuery);
    const prefix = (of: LogDetails) => logPrefix(of, names);
    return print({
      ...{ source, sent, output },
      learn: (of) => names.learn(taskIdOf(of), nodeIdOf(of)),
      show: (line) => showLogLine(line, { ...options, prefix }),
    });
  },
};

interface LogTarget {
  readonly path: string;
  readonly tty: boolean;
  /** Selects the tasks to print. */
  readonly taskQuery: Query;
}

async function find(client: ApiClient, name: string): Promise<LogTarget> {
  try {
    const service = await client.get<Service>(`/services/${encodeURIComponent(name)}`);
    return {
      path: `/services/${service.ID}/logs`,
      tty: service.Spec.TaskTemplate.ContainerSpec?.TTY === true,
      taskQuery: { filters: { service: { [service.ID]: true } } },
    };
  } catch (error) {
    if (!(error instanceof DaemonError) || error.status !== 404) throw error;
  }
  try {
    const task = await client.get<Task>(`/tasks/${encodeURIComponent(name)}`);
    return {
      path: `/tasks/${task.ID}/logs`,
      tty: task.Spec.ContainerSpec?.TTY === true,
      taskQuery: { filters: { id: { [task.ID]: true } } },
    };
  } catch (error) {
    if (error instanceof DaemonError && error.status === 404)
      throw new UsageError(`no such task or service: ${name}`);
    throw error;
  }
}

/** Seconds since the epoch; a duration counts back from now. */
export function sinceSeconds(text: string, nowMs: number): string {
  const date = /^\d{4}-/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(date)) return (date / 1000).toFixed(9);
  if (/^\d+(\.\d+)?$/.test(text)) return text;
  return (nowMs / 1000 - parseDuration('since', text) / 1e9).toFixed(9);
}

interface Printing {
  readonly source: Omit<LogFollowerOptions<LogFrame>, 'resume' | 'decode'>;
  /** What each line has besides its text. */
  readonly sent: { readonly timestamps: boolean; readonly details: boolean };
  readonly output: Output;
  /** Called before a line is shown. */
  readonly learn?: (details: LogDetails) => Promise<void>;
  readonly show: (line: ReadLogLine) => Buffer;
}

/** @returns 1 if the daemon could not read every log */
async function print({ source, sent, output, learn, show }: Printing): Promise<number> {
  const marks = new LogMarks();
  const { now } = source.time;
  const resume = (begun: string): Query => {
    const since = marks.broken(now(), source.query.tail === '0' ? begun : undefined);
    const again = { ...source.query, tail: 'all' };
    if (since !== undefined) return { ...again, since };
    // Without a line so far, the same is asked for again; with --tail 0, what came since it was first asked.
    return source.query.tail === '0' ? { ...again, since: begun } : source.query;
  };
  let code = 0;
  for await (const { stream, data } of followLog({ ...source, resume, decode: framesOf })) {
    if (stream === 'error') {
      output.writeError(data);
      code = 1;
      continue;
    }
    const line = readLogLine(data, sent);
    if (line !== undefined && isNotice(line.details)) {
      output.error(`swarm: ${line.text.toString().replace('[swarm] ', '').trimEnd()}`);
      continue;
    }
    if (line !== undefined && sent.timestamps && sent.details) {
      const mark = { taskId: taskIdOf(line.details), stream, timestamp: line.timestamp };
      if (!marks.accept(mark, now())) continue;
    }
    if (line !== undefined) await learn?.(line.details);
    const shown = line === undefined ? data : show(line);
    if (stream === 'stderr') output.writeError(shown);
    else output.write(shown);
  }
  return code;
}

async function* framesOf(response: AsyncIterable<Buffer>): AsyncGenerator<LogFrame> {
  const frames = new LogFrames();
  for await (const chunk of response) yield* frames.push(chunk);
  frames.end();
}
