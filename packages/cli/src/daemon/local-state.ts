import { existsSync } from 'node:fs';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ManagerAddress } from '@swarm/api';

/** What a node remembers of its cluster besides certificate, log and tasks. */
export interface LocalState {
  readonly clusterId: string;
  readonly nodeId: string;
  /** `host:port` that others reach this node at when it is a manager. */
  readonly advertiseAddress: string;
  readonly listen: { readonly host: string; readonly port: number };
  readonly dataPathAddress: string;
  readonly dataPathPort: number;
  /** Present while the node is, or is about to be, a member of the Raft group. */
  readonly raftId?: number;
  /** Whether the Raft member takes part already: else joining goes on after a restart. */
  readonly raftJoined?: boolean;
  readonly managers: readonly ManagerAddress[];
}

const FILE = 'node.json';

/** Whether the node of this data root is in a cluster; also when its state can not be read. */
export function hasState(folder: string): boolean {
  return existsSync(join(folder, FILE));
}

/** Keeps the node's own state: one JSON file, replaced atomically. */
export class LocalStateFile {
  readonly #path: string;

  constructor(folder: string) {
    this.#path = join(folder, FILE);
  }

  /** @throws Error when the file is there but can not be read as state */
  async load(): Promise<LocalState | undefined> {
    let text: string;
    try {
      text = await readFile(this.#path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    try {
      return JSON.parse(text) as LocalState;
    } catch (error) {
      throw new Error(
        `${this.#path} is damaged (${(error as Error).message}): remove the data folder and join the cluster again`,
      );
    }
  }

  async save(state: LocalState): Promise<void> {
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
    const next = `${this.#path}.next`;
    const file = await open(next, 'w', 0o600);
    try {
      await file.writeFile(`${JSON.stringify(state, null, 2)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(next, this.#path);
  }

  async remove(): Promise<void> {
    await rm(this.#path, { force: true });
  }
}
