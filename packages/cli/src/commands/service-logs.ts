import type { Node, Service, Task } from '@swarm/api';
import { type ApiClient, DaemonError, type Query } from '../client/api-client.js';
import { LogFrames } from '../client/log-frames.js';
import { type Command, UsageError } from '../command.js';
import { parseDuration } from '../flags/values.js';
import type { Output } from '../output/output.js';
import { logPrefix, type PrefixOptions, showLogLine } from '../output/log-line.js';

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
    const target = await find(client, name);
    if (target.tty && !raw)
      throw new UsageError(
        'the log of a service with --tty is a single stream: add --raw to see it',
      );
    const query = {
      stdout: 1,
      stderr: 1,
      // The details are needed for the prefixes.
      details: details || !raw ? 1 : undefined,
      tail,
      follow: args.boolean('follow') ? 1 : undefined,
      timestamps: timestamps ? 1 : undefined,
      since: since === undefined ? undefined : sinceSeconds(since, Date.now()),
    };
    const names = raw
      ? undefined
      : await namesOf(client, target.taskQuery, {
          resolve: !args.boolean('no-resolve'),
          taskIds: !args.boolean('no-task-ids'),
          full: args.boolean('no-trunc'),
        });
    const show =
      names === undefined
        ? (line: Buffer) => line
        : (line: Buffer) =>
            showLogLine(line.toString(), {
              timestamps,
              details,
              prefix: (of) => logPrefix(of, names),
            });
    const stream = await client.stream(target.path, query);
    return target.tty ? copy(stream, output) : print(stream, output, show);
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

async function namesOf(
  client: ApiClient,
  taskQuery: LogTarget['taskQuery'],
  options: { resolve: boolean; taskIds: boolean; full: boolean },
): Promise<PrefixOptions> {
  const tasks = new Map<string, Task>();
  const nodes = new Map<string, string>();
  const learn = async () => {
    for (const task of await client.get<Task[]>('/tasks', taskQuery)) tasks.set(task.ID, task);
    if (!options.resolve) return;
    for (const node of await client.get<Node[]>('/nodes'))
      nodes.set(node.ID, node.Description?.Hostname ?? node.ID);
  };
  await learn();
  return {
    ...options,
    taskName(taskId) {
      const task = tasks.get(taskId);
      if (task === undefined) return undefined;
      const place = task.Slot > 0 ? String(task.Slot) : (task.NodeID ?? '');
      return `${options.resolve ? task.ServiceName : task.ServiceID}.${place}`;
    },
    nodeName: (nodeId) => nodes.get(nodeId) ?? nodeId,
  };
}

/** Copies a terminal's output, which is one stream, unchanged. */
async function copy(stream: AsyncIterable<Buffer>, output: Output): Promise<number> {
  for await (const chunk of stream) output.write(chunk);
  return 0;
}

/** @returns 1 if the daemon could not read every log */
async function print(
  stream: AsyncIterable<Buffer>,
  output: Output,
  show: (line: Buffer) => string | Buffer,
): Promise<number> {
  const frames = new LogFrames();
  let code = 0;
  for await (const chunk of stream) {
    for (const { stream: kind, data } of frames.push(chunk)) {
      if (kind === 'error') {
        output.writeError(data);
        code = 1;
      } else if (kind === 'stderr') output.writeError(show(data));
      else output.write(show(data));
    }
  }
  frames.end();
  return code;
}
