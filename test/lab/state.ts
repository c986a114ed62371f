import { randomUUID } from 'node:crypto';
import { lstatSync } from 'node:fs';
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
 * Folder of all labs: `$SWARM_LAB_DIR`, else `/tmp/swarm-lab`.
 * @throws Error when another user made it: we stop the processes that its files name
 */
export function labsFolder(): string {
  const given = process.env.SWARM_LAB_DIR;
  if (given !== undefined) return given;
  const found = lstatSync(USUAL_FOLDER, { throwIfNoEntry: false });
  const ours =
    found?.isDirectory() === true &&
    found.uid === process.getuid?.() &&
    (found.mode & OTHERS_WRITE) === 0;
  if (found !== undefined && !ours)
    throw new Error(`${USUAL_FOLDER} is not yours alone: remove it, or set SWARM_LAB_DIR`);
  return USUAL_FOLDER;
}

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
