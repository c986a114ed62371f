import type { IncomingMessage } from 'node:http';
import type { Node, Service, Task } from '@swarm/api';
import { type ApiClient, DaemonError } from '../client/api-client.js';
import { type Command, type Output, UsageError } from '../command.js';
import { parseDuration } from '../flags/values.js';

/** Header of a frame of the multiplexed stream: stream (1 out, 2 error), 3 zeros, length big-endian. */
const FRAME_HEADER_BYTES = 8;
const STDERR = 2;

/** `service logs`: lines of all tasks of a service (or of one task), prefixed by whose they are. */
export const LOGS: Command = {
  path: ['service', 'logs'],
  usage: '[OPTIONS] SERVICE|TASK',
  about: 'Fetch the logs of a service or task.',
  flags: {
    details: { type: 'boolean', about: 'show extra details' },
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
  async run({ args, client, output }) {
    const name = args.positionals[0]!;
    const tail = args.string('tail') ?? 'all';
    if (tail !== 'all' && !/^\d+$/.test(tail))
      throw new UsageError(`invalid argument '${tail}' for --tail: a number or 'all' is needed`);
    const since = args.string('since');
    const query = {
      stdout: 1,
      stderr: 1,
      details: 1,
      tail,
      follow: args.boolean('follow') ? 1 : undefined,
      timestamps: args.boolean('timestamps') ? 1 : undefined,
      since: since === undefined ? undefined : sinceSeconds(since, Date.now()),
    };
    const target = await find(client, name);
    const prefix = args.boolean('raw')
      ? undefined
      : await prefixer(client, {
          resolve: !args.boolean('no-resolve'),
          taskIds: !args.boolean('no-task-ids'),
          full: args.boolean('no-trunc'),
        });
    const stream = await client.stream(target.path, query);
    await print(stream, output, args.boolean('timestamps'), prefix, target.tty);
    return 0;
  },
};

async function find(client: ApiClient, name: string): Promise<{ path: string; tty: boolean }> {
  try {
    const service = await client.get<Service>(`/services/${encodeURIComponent(name)}`);
    return {
      path: `/services/${service.ID}/logs`,
      tty: service.Spec.TaskTemplate.ContainerSpec?.TTY === true,
    };
  } catch (error) {
    if (!(error instanceof DaemonError) || error.status !== 404) throw error;
  }
  try {
    const task = await client.get<Task>(`/tasks/${encodeURIComponent(name)}`);
    return { path: `/tasks/${task.ID}/logs`, tty: task.Spec.ContainerSpec?.TTY === true };
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

type Prefix = (details: Readonly<Record<string, string>>) => string;

async function prefixer(
  client: ApiClient,
  options: { resolve: boolean; taskIds: boolean; full: boolean },
): Promise<Prefix> {
  const tasks = new Map<string, Task>();
  const nodes = new Map<string, string>();
  if (options.resolve) {
    for (const task of await client.get<Task[]>('/tasks')) tasks.set(task.ID, task);
    for (const node of await client.get<Node[]>('/nodes'))
      nodes.set(node.ID, node.Description?.Hostname ?? node.ID);
  }
  return (details) => {
    const taskId = details['com.docker.swarm.task.id'] ?? '';
    const nodeId = details['com.docker.swarm.node.id'] ?? '';
    const task = tasks.get(taskId);
    const shortId = options.full ? taskId : taskId.slice(0, 12);
    const name = task === undefined ? shortId : task.Name.slice(0, task.Name.lastIndexOf('.'));
    return `${name}${options.taskIds && task !== undefined ? `.${shortId}` : ''}@${nodes.get(nodeId) ?? nodeId}    | `;
  };
}

async function print(
  stream: IncomingMessage,
  output: Output,
  timestamps: boolean,
  prefix: Prefix | undefined,
  tty: boolean,
): Promise<void> {
  let buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    if (tty) {
      output.write(chunk as Buffer);
      continue;
    }
    buffer = Buffer.concat([buffer, chunk as Buffer]);
    while (buffer.length >= FRAME_HEADER_BYTES) {
      const length = buffer.readUInt32BE(4);
      if (buffer.length < FRAME_HEADER_BYTES + length) break;
      const line = withPrefix(
        buffer.toString('utf8', FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + length),
        timestamps,
        prefix,
      );
      if (buffer[0] === STDERR) output.writeError(line);
      else output.write(line);
      buffer = buffer.subarray(FRAME_HEADER_BYTES + length);
    }
  }
}

/** A line is `[TIMESTAMP ]key=value,key=value text`; the details say whose it is. */
function withPrefix(line: string, timestamps: boolean, prefix: Prefix | undefined): string {
  let rest = line;
  let time = '';
  if (timestamps) {
    const at = rest.indexOf(' ');
    time = rest.slice(0, at + 1);
    rest = rest.slice(at + 1);
  }
  const at = rest.indexOf(' ');
  const details = Object.fromEntries(
    rest
      .slice(0, at)
      .split(',')
      .map((pair) => {
        const [key, value] = pair.split('=', 2);
        return [decodeURIComponent(key ?? ''), decodeURIComponent(value ?? '')];
      }),
  ) as Record<string, string>;
  if (!('com.docker.swarm.task.id' in details)) return time + rest;
  const text = rest.slice(at + 1);
  return prefix === undefined ? time + text : time + prefix(details) + text;
}
