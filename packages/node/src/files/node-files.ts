import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  certificateSubject,
  loadNodeIdentity,
  type NodeIdentity,
  saveNodeIdentity,
} from '@swarm/identity';
import { type LocalState, LocalStateFile } from './local-state.js';

/** Everything that a node keeps under its data root. What is in memory is also on disk. */
export class NodeFiles {
  /** Log and state of the Raft member. */
  readonly raftFolder: string;
  /** The agent's folder: tasks, what they need, and known managers. */
  readonly workerFolder: string;
  readonly #certificates: string;
  readonly #file: LocalStateFile;
  #state: LocalState | undefined;
  #identity: NodeIdentity | undefined;

  constructor(dataRoot: string) {
    this.raftFolder = join(dataRoot, 'raft');
    this.workerFolder = join(dataRoot, 'worker');
    this.#certificates = join(dataRoot, 'certificates');
    this.#file = new LocalStateFile(dataRoot);
  }

  /** Undefined while the node is in no cluster. */
  get state(): LocalState | undefined {
    return this.#state;
  }

  get identity(): NodeIdentity | undefined {
    return this.#identity;
  }

  /** The role that the certificate gives this node. */
  get role(): 'manager' | 'worker' | undefined {
    return this.#identity === undefined
      ? undefined
      : certificateSubject(this.#identity.certificate).role;
  }

  /**
   * Reads what an earlier process left; false when the node is in no cluster.
   * @throws Error when state or certificate are damaged
   */
  async load(): Promise<boolean> {
    const state = await this.#file.load();
    if (state === undefined) return false;
    const identity = await loadNodeIdentity(this.#certificates);
    if (identity === undefined)
      throw new Error(
        `the node's certificate is missing in ${this.#certificates}: run 'docker swarm leave --force', then join again`,
      );
    this.#state = state;
    this.#identity = identity;
    return true;
  }

  async save(state: LocalState): Promise<void> {
    await this.#file.save(state);
    this.#state = state;
  }

  async saveIdentity(identity: NodeIdentity): Promise<void> {
    await saveNodeIdentity(this.#certificates, identity);
    this.#identity = identity;
  }

  /**
   * Forgets the Raft member. Removes the id first: an id must never return with an empty log, because the
   * group relies on what it acknowledged.
   */
  async forgetMember(): Promise<void> {
    if (this.#state !== undefined) {
      const { raftId: _id, raftJoined: _joined, ...rest } = this.#state;
      await this.save(rest);
    }
    await this.wipeMember();
  }

  /** Whether there is anything of a Raft member. */
  async hasMember(): Promise<boolean> {
    try {
      return (await readdir(this.raftFolder)).length > 0;
    } catch (error) {
      if ((error as { code?: unknown }).code === 'ENOENT') return false;
      throw error;
    }
  }

  /** Removes log and state of the Raft member, of which there is none, or none that may return. */
  async wipeMember(): Promise<void> {
    await rm(this.raftFolder, { recursive: true, force: true });
  }

  /** Forgets the cluster. Removes the state first: without it the rest belongs to no node. */
  async wipe(): Promise<void> {
    this.#state = undefined;
    this.#identity = undefined;
    await this.#file.remove();
    for (const folder of [this.#certificates, this.raftFolder, this.workerFolder])
      await rm(folder, { recursive: true, force: true });
  }
}
