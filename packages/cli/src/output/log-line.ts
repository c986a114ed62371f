import { showControls } from '@swarm/api/client';

/** What a log line says about its origin: `com.docker.swarm.task.id` and the like. */
export type LogDetails = Readonly<Record<string, string>>;

/** A line as the daemon sends it: `[TIMESTAMP ][key=value,key=value ]text`. */
export interface ReadLogLine {
  /** Empty when none was asked for. */
  readonly timestamp: string;
  /** As they were sent; empty when none were asked for. */
  readonly packed: string;
  readonly details: LogDetails;
  /** What the task wrote, byte for byte. */
  readonly text: Buffer;
}

const NODE_ID = 'com.docker.swarm.node.id';
const TASK_ID = 'com.docker.swarm.task.id';
const NOTICE = 'com.docker.swarm.notice';
const OWN = [NODE_ID, 'com.docker.swarm.service.id', TASK_ID, NOTICE];
const SPACE = 32;

/** @param asked what the line has besides its text; undefined when the line has no such thing */
export function readLogLine(
  data: Buffer,
  asked: { readonly timestamps: boolean; readonly details: boolean },
): ReadLogLine | undefined {
  let text = data;
  const word = (): string => {
    const end = text.indexOf(SPACE) + 1;
    const found = text.toString('utf8', 0, Math.max(0, end - 1));
    text = text.subarray(end);
    return found;
  };
  const timestamp = asked.timestamps ? word() : '';
  const packed = asked.details ? word() : '';
  const details = asked.details ? unpack(packed) : {};
  if (asked.details && !(TASK_ID in details)) return undefined;
  return { timestamp, packed, details, text };
}

export function taskIdOf(details: LogDetails): string {
  return details[TASK_ID] ?? '';
}

export function nodeIdOf(details: LogDetails): string {
  return details[NODE_ID] ?? '';
}

/** Whether the cluster itself says this, and not a task. */
export function isNotice(details: LogDetails): boolean {
  return NOTICE in details;
}

export interface LogLineOptions {
  readonly timestamps: boolean;
  /** Keeps details other than the cluster's own in the line. */
  readonly details: boolean;
  /** Text that says whose line it is; absent for the line as it was sent. */
  readonly prefix?: (details: LogDetails) => string;
}

/** The line as people see it. */
export function showLogLine(line: ReadLogLine, options: LogLineOptions): Buffer {
  const { timestamp, packed, details, text } = line;
  const time = options.timestamps ? `${timestamp} ` : '';
  let begin: string;
  if (options.prefix === undefined) begin = options.details ? `${packed} ` : '';
  else {
    const others = Object.entries(details)
      .filter(([key]) => !OWN.includes(key))
      .map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`);
    begin = options.prefix(details) + (options.details ? `${others.join(',')} ` : '');
  }
  return Buffer.concat([Buffer.from(time + begin), text]);
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
  const taskId = taskIdOf(details);
  const shortId = options.full ? taskId : taskId.slice(0, ID_WIDTH);
  const name = options.taskName(taskId);
  const task = name === undefined ? shortId : options.taskIds ? `${name}.${shortId}` : name;
  // A host name with a line feed in it would begin another line.
  return showControls(`${task}@${options.nodeName(nodeIdOf(details))}    | `);
}

function unpack(packed: string): LogDetails {
  const pairs = packed.split(',').map((pair) => {
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
