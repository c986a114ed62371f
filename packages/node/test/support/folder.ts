import { chmodSync, lstatSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';

/** A folder of a test's own, removed with it. */
export function folderOf(t: ExecutionContext, mode = 0o700): string {
  const folder = mkdtempSync(join(tmpdir(), 'swarm-cli-'));
  chmodSync(folder, mode);
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Permissions of what is at the path, not behind it. */
export function modeOf(...path: string[]): number {
  return lstatSync(join(...path)).mode & 0o7777;
}
