import { showControls } from '@swarm/api/client';

/** What a log line says about its origin: `com.docker.swarm.task.id` and the like. */
export type LogDetails = Readonly<Record<string, string>>;

export interface LogLineOptions {
  /** The line begins with its time. */
  readonly timestamps: boolean;
  /** Keeps details other than the cluster's own in the line. */
  readonly details: boolean;
  /** Text that says whose line it is. */
  readonly prefix: (details: LogDetails) => string;
}

const NODE_ID = 'com.docker.swarm.node.id';
const TASK_ID = 'com.docker.swarm.task.id';
const OWN = [NODE_ID, 'com.docker.swarm.service.id', TASK_ID];

/** Formats a line as the daemon sends it: `[TIMESTAMP ]key=value,key=value text`. */
export function showLogLine(line: string, options: LogLineOptions): string {
  const [time, rest] = options.timestamps ? firstWord(line) : ['', line];
  const [packed, text] = firstWord(rest);
  const details = unpack(packed);
  if (!(TASK_ID in details)) return line;
  const begin = `${time}${options.prefix(details)}`;
  if (!options.details) return begin + text;
  const others = Object.entries(details)
    .filter(([key]) => !OWN.includes(key))
    .map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`);
  return `${begin}${others.join(',')} ${text}`;
}

export interface PrefixOptions {
  readonly taskIds: boolean;
  readonly full: boolean;
  /** `SERVICE.SLOT` of a task; undefined if unknown. */
  readonly taskName: (taskId: string) => string | undefined;
  readonly nodeName: (nodeId: string) => string;
}

/** Characters of an id to show. */
const ID_WIDTH = 12;

/** `web.1.29fj0pkbmb5f@node1    | `. */
export function logPrefix(details: LogDetails, options: PrefixOptions): string {
  const taskId = details[TASK_ID] ?? '';
  const shortId = options.full ? taskId : taskId.slice(0, ID_WIDTH);
  const name = options.taskName(taskId);
  const task = name === undefined ? shortId : options.taskIds ? `${name}.${shortId}` : name;
  // A host name with a line feed in it would begin another line.
  return showControls(`${task}@${options.nodeName(details[NODE_ID] ?? '')}    | `);
}

function firstWord(text: string): [string, string] {
  const at = text.indexOf(' ') + 1;
  return [text.slice(0, at), text.slice(at)];
}

function unpack(packed: string): LogDetails {
  const pairs = packed
    .trimEnd()
    .split(',')
    .map((pair) => {
      const at = pair.indexOf('=');
      return at === -1 ? [pair, ''] : [decode(pair.slice(0, at)), decode(pair.slice(at + 1))];
    });
  return Object.fromEntries(pairs);
}

/** Leaves a text that is not URL-encoded as it is: log lines may contain anything. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
