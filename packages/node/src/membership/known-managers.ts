import type { Logger, ManagerAddress, SerialQueue } from '@swarm/api';
import type { NodeFiles } from '../files/node-files.js';
import type { ManagerPart } from '../manager-part.js';
import type { FormerManager } from '../tasks/manager-pins.js';

export interface KnownManagersOptions {
  readonly files: NodeFiles;
  readonly managerPart: () => ManagerPart;
  /** What is saved waits for changes of membership that are under way. */
  readonly changes: SerialQueue;
  readonly logger: Logger;
}

/** The managers that a node knows: from its Raft member while it has one, else as the leader named them last. */
export class KnownManagers {
  readonly #options: KnownManagersOptions;
  /** As the leader, or the user, named them last. */
  named: readonly ManagerAddress[] = [];

  constructor(options: KnownManagersOptions) {
    this.#options = options;
  }

  all(): readonly ManagerAddress[] {
    const members = this.#options.managerPart().manager?.members() ?? [];
    if (members.length > 0) return members.map(({ nodeId, address }) => ({ nodeId, address }));
    return this.named;
  }

  /** All of them. A manager knows better than its cluster where it is itself. */
  ownFirst(): readonly ManagerAddress[] {
    const { nodeId, advertiseAddress } = this.#options.files.state!;
    const known = this.all().filter((manager) => manager.nodeId !== nodeId);
    if (this.#options.managerPart().manager === undefined) return known;
    return [{ nodeId, address: advertiseAddress }, ...known];
  }

  /**
   * Addresses to ask: the members that this node's own member knows, then those that the leader named last, as
   * that member may be out of the group, and itself last, as it can only pass the question on.
   */
  addresses(): string[] {
    const own = this.#options.files.state?.advertiseAddress;
    const all = [...this.all(), ...this.named].map(({ address }) => address);
    const others = new Set(all.filter((address) => address !== own));
    return [...others, ...(own !== undefined && all.includes(own) ? [own] : [])];
  }

  /** Where the others are. */
  otherAddresses(): string[] {
    const { nodeId, advertiseAddress: own } = this.#options.files.state ?? {};
    return this.all()
      .filter((manager) => manager.nodeId !== nodeId && manager.address !== own)
      .map(({ address }) => address);
  }

  /** Saves which managers are former ones: their certificates are valid for some time yet. */
  keepFormer(formerManagers: readonly FormerManager[]): void {
    const { files, changes, logger } = this.#options;
    const save = async () => {
      const { state } = files;
      if (state !== undefined) await files.save({ ...state, managers: this.all(), formerManagers });
    };
    changes
      .run(save)
      .catch((error: unknown) =>
        logger.warn({ err: error }, 'the list of former managers could not be saved'),
      );
  }
}
