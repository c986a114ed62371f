import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LogLine } from '@swarm/api';

/** Folders that go with the process, where a test fails before it removes them. */
const folders = new Set<string>();
process.once('exit', () => {
  for (const path of folders) rmSync(path, { recursive: true, force: true });
});

/** A folder that the test removes, below the one for temporary files unless told otherwise. */
export function makeFolder(parent = tmpdir()): { path: string; remove(): void } {
  const path = mkdtempSync(join(parent, 'swarm-worker-'));
  folders.add(path);
  return {
    path,
    remove() {
      folders.delete(path);
      rmSync(path, { recursive: true, force: true });
    },
  };
}

export async function collect(lines: AsyncIterable<LogLine>): Promise<LogLine[]> {
  const all: LogLine[] = [];
  for await (const line of lines) all.push(line);
  return all;
}

export function text(line: LogLine): string {
  return Buffer.from(line.data).toString();
}

export const ALL_LOGS = { follow: false, stdout: true, stderr: true, tail: -1 } as const;
