import { chmodSync, lstatSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';

/** A folder for one test, removed at its end. */
export function folderOf(t: ExecutionContext, mode = 0o700): string {
  const folder = mkdtempSync(join(tmpdir(), 'swarm-cli-'));
  chmodSync(folder, mode);
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Permissions at the path itself, links not followed. */
export function modeOf(...path: string[]): number {
  return lstatSync(join(...path)).mode & 0o7777;
}
