import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

export type HostRole = 'manager' | 'worker' | 'client';
export type LabRuntime = 'process' | 'docker';

/** One test host, as kept on disk. */
export interface HostState {
  readonly name: string;
  readonly role: HostRole;
  readonly address: string;
  /** Name of its network namespace; empty for a lab on loopback. */
  readonly namespace: string;
  readonly folder: string;
  readonly socket: string;
  /** Docker Engine socket, when the host runs an engine. */
  readonly engineSocket?: string;
  /** Process ids as this machine sees them; the init's death ends every process of the host. */
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

/** Where labs are kept: `$SWARM_LAB_DIR`, else `/tmp/swarm-lab`. */
export function labsFolder(): string {
  return process.env.SWARM_LAB_DIR ?? '/tmp/swarm-lab';
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
  await mkdir(dirname(path), { recursive: true });
  // Hosts are killed and started together: each writer has a file of its own.
  const next = `${path}.${randomUUID()}`;
  await writeFile(next, JSON.stringify(state, null, 2));
  await rename(next, path);
}
