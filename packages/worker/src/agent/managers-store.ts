import type { ManagerAddress } from '@swarm/api';

/** Where the addresses of managers are kept from one life of the daemon to the next. */
export interface ManagersStore {
  /** Empty when nothing was saved yet. */
  load(): Promise<readonly ManagerAddress[]>;
  save(managers: readonly ManagerAddress[]): Promise<void>;
}
