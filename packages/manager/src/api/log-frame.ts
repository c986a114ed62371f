import type { LogLine } from '@swarm/api';

/** Docker's numbers of streams; 3 carries errors of the daemon. */
const STREAMS = { stdout: 1, stderr: 2, error: 3 } as const;

/** A line and where it comes from. */
export interface SourcedLine extends LogLine {
  readonly nodeId: string;
  readonly serviceId: string;
}

/** Among the details of a line that the cluster itself wrote. */
export const NOTICE_KEY = 'com.docker.swarm.notice';

export interface LineOptions {
  readonly timestamps: boolean;
  readonly details: boolean;
}

/** One frame of Docker's stdcopy format: stream, three zeros, length in 4 bytes big-endian, data. */
export function frame(stream: keyof typeof STREAMS, data: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(8 + data.byteLength);
  framed.writeUInt32BE(STREAMS[stream] << 24, 0);
  framed.writeUInt32BE(data.byteLength, 4);
  framed.set(data, 8);
  return framed;
}

/**
 * A line as Docker sends it: time, then details as `key=value` pairs, then the text.
 * @param more details, after those of the cluster
 */
export function line(
  record: SourcedLine,
  { timestamps, details }: LineOptions,
  more: Readonly<Record<string, string>> = {},
): Buffer {
  const parts: Uint8Array[] = [];
  if (timestamps) parts.push(Buffer.from(`${fixedNanoseconds(record.timestamp)} `));
  if (details) {
    // The stock command takes these apart to print "web.1.abc@node1 | ".
    const attributes = [
      ['com.docker.swarm.node.id', record.nodeId],
      ['com.docker.swarm.service.id', record.serviceId],
      ['com.docker.swarm.task.id', record.taskId],
      ...Object.entries(more),
    ];
    const text = attributes.map(([key, value]) => `${key}=${encodeURIComponent(value!)}`).join(',');
    parts.push(Buffer.from(`${text} `));
  }
  parts.push(record.data);
  const lacksEnd = record.data.at(-1) !== 0x0a;
  if (lacksEnd) parts.push(Buffer.from('\n'));
  return Buffer.concat(parts);
}

/** RFC 3339 with exactly nine decimals, so that lines of all tasks align and sort. */
function fixedNanoseconds(timestamp: string): string {
  const match = /^(.*?:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)$/.exec(timestamp);
  if (match === null) return timestamp;
  return `${match[1]}.${(match[2] ?? '').padEnd(9, '0')}${match[3]}`;
}
