import type { ManagerAddress } from '@swarm/api';

/** Keeps the addresses of managers across restarts of the daemon. */
export interface ManagersStore {
  /** Empty when nothing has been saved yet. */
  load(): Promise<readonly ManagerAddress[]>;
  save(managers: readonly ManagerAddress[]): Promise<void>;
}
