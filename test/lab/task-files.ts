import { chmod, copyFile, mkdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { run } from './command.js';

/** Tasks are users of their own and cannot see the host's /tmp: what they run must be elsewhere. */
const FOLDER = '/var/lib/swarm-lab';
/** Any user who owns nothing. */
const STRANGER = 65_534;

/**
 * Where a task finds this file: the file itself, or a copy that everybody may read. Tasks cannot enter a
 * checkout or a Node.js below /root.
 */
export async function fileForTasks(labName: string, path: string): Promise<string> {
  if (process.getuid?.() !== 0) return path;
  const asStranger = ['setpriv', `--reuid=${STRANGER}`, `--regid=${STRANGER}`, '--clear-groups'];
  const { code } = await run([...asStranger, 'test', '-r', path]);
  const hidden = ['/tmp/', '/var/tmp/', '/run/'].some((folder) => path.startsWith(folder));
  if (code === 0 && !hidden) return path;
  const folder = join(FOLDER, labName);
  await mkdir(folder, { recursive: true, mode: 0o755 });
  const copy = join(folder, basename(path));
  await copyFile(path, copy);
  await chmod(copy, 0o755);
  return copy;
}

/** Removes the copies of a lab. */
export async function removeTaskFiles(labName: string): Promise<void> {
  await rm(join(FOLDER, labName), { recursive: true, force: true });
}
