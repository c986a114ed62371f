import { randomUUID } from 'node:crypto';
import { lstatSync, type Stats } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

export type HostRole = 'manager' | 'worker' | 'client';
export type LabRuntime = 'process' | 'docker';

/** One test host, as stored on disk. */
export interface HostState {
  readonly name: string;
  readonly role: HostRole;
  readonly address: string;
  /** Name of its network namespace; empty for a lab on loopback. */
  readonly namespace: string;
  readonly folder: string;
  readonly socket: string;
  /** Socket of the Docker Engine, if the host runs one. */
  readonly engineSocket?: string;
  /** The `swarm` program of this host, when it is not the checkout's. */
  program?: string;
  /** Process ids as this machine sees them; when the init dies, so does every process of the host. */
  unsharePid?: number;
  initPid?: number;
  daemonPid?: number;
  cut: boolean;
}

export interface LabState {
  readonly name: string;
  readonly folder: string;
  readonly runtime: LabRuntime;
  /** Namespace that holds the bridge; empty for a lab on loopback. */
  readonly bridge: string;
  readonly hosts: HostState[];
}

const USUAL_FOLDER = '/tmp/swarm-lab';
const OTHERS_WRITE = 0o022;

/**
 * Folder of all labs of this user: `$SWARM_LAB_DIR`, else `/tmp/swarm-lab`, for users other than root with
 * their uid.
 * @throws Error when another user made it: we stop the processes that its files name
 */
export function labsFolder(
  env: NodeJS.ProcessEnv = process.env,
  uid = process.getuid?.() ?? 0,
  look: (path: string) => FolderStatus | undefined = (path) =>
    lstatSync(path, { throwIfNoEntry: false }),
): string {
  const given = env.SWARM_LAB_DIR;
  if (given !== undefined) return given;
  const folder = uid === 0 ? USUAL_FOLDER : `${USUAL_FOLDER}-${uid}`;
  const found = look(folder);
  if (found === undefined) return folder;
  const isOurs = found.isDirectory() && found.uid === uid && (found.mode & OTHERS_WRITE) === 0;
  if (!isOurs) throw new Error(`${folder} is not yours alone: remove it, or set SWARM_LAB_DIR`);
  return folder;
}

export type FolderStatus = Pick<Stats, 'isDirectory' | 'uid' | 'mode'>;

export function statePath(name: string): string {
  return join(labsFolder(), name, 'lab.json');
}

export async function loadState(name: string): Promise<LabState | undefined> {
  try {
    return JSON.parse(await readFile(statePath(name), 'utf8')) as LabState;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

export async function saveState(state: LabState): Promise<void> {
  const path = statePath(state.name);
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  // Hosts are killed and started concurrently: each writer uses its own file.
  const next = `${path}.${randomUUID()}`;
  await writeFile(next, JSON.stringify(state, null, 2));
  await rename(next, path);
}
