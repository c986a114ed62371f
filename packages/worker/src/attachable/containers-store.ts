import type { ContainerRecord } from './container-record.js';

/** Keeps what a node knows of containers on networks of the cluster over restarts of the daemon. */
export interface ContainersStore {
  load(): Promise<readonly ContainerRecord[]>;
  /** Resolves when they are on disk. @param records read when it is this write's turn */
  save(records: () => readonly ContainerRecord[]): Promise<void>;
}
