import type { IpAddress } from '@swarm/api';
import type { CheckedAttachment } from '../checked.js';
import type { TaskId } from '../layout.js';
import type { NetworkTouches, NetworkViews } from '../overlay/network-view.js';

/** The part of a state that names get. */
export interface NamesSlice {
  /** Networks that tasks of this node are attached to. */
  readonly networks: NetworkViews;
  /** Where they may differ from the last slice; undefined: everywhere. */
  readonly touched: NetworkTouches;
}

/** A task of this node, and where to set up its names. */
export interface NamedTask {
  readonly taskId: TaskId;
  readonly netns: string;
  readonly attachments: readonly CheckedAttachment[];
  /** What it is found by itself, in lower case; works before a state names the task. */
  readonly names: readonly string[];
  /** Asked for names of others, from its own namespace. Empty: those of the host are. */
  readonly nameservers: readonly IpAddress[];
}

/**
 * Names of services and tasks, as the tasks of this node see them.
 *
 * Calls do not overlap. Names work before a task's first instruction: `attach` is called once its links exist.
 */
export interface ServiceNames {
  /**
   * Makes tasks find exactly this. What it leads to is in the kernel by then. Resolves when no task is told anything
   * older.
   */
  apply(slice: NamesSlice): Promise<void>;
  /** Gives a task its names: its namespace exists. May be repeated. */
  attach(task: NamedTask): Promise<void>;
  /** Ignores a task that it does not know. */
  detach(taskIds: readonly TaskId[]): Promise<void>;
  /** After a restart: takes their names from tasks that an earlier process attached, all but these. */
  retain(taskIds: ReadonlySet<string>): Promise<void>;
  /** `keep` leaves what works without this process. */
  close(options: { readonly keep: boolean }): Promise<void>;
}

/** For a node whose tasks have no networks with names. Refuses one that has, instead of leaving it without. */
export const noServiceNames: ServiceNames = {
  async apply({ networks }) {
    if (networks.size === 0) return;
    const ids = [...networks.keys()].join(', ');
    throw new Error(
      `mesh: this node does not support names and virtual addresses for the networks ${ids}`,
    );
  },
  attach: async () => {},
  detach: async () => {},
  retain: async () => {},
  close: async () => {},
};

/** For a mesh that was given no resolver: its tasks reach each other by addresses alone. */
export const withoutNames: ServiceNames = { ...noServiceNames, apply: async () => {} };
