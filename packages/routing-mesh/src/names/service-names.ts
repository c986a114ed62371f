import type { IpAddress } from '@swarm/api';
import type { CheckedAttachment } from '../checked.js';
import type { NetworkId, TaskId } from '../layout.js';

/** A service as tasks on one network find it. */
export interface NamedService {
  /** Its name and its aliases. */
  readonly names: readonly string[];
  /** One address for all its tasks; empty if each task is found by its own. */
  readonly vips: readonly IpAddress[];
  readonly tasks: readonly { readonly taskId: string; readonly addresses: readonly IpAddress[] }[];
}

/** A network whose services have names. */
export interface NamedNetwork {
  readonly networkId: NetworkId;
  readonly services: readonly NamedService[];
}

/** The part of a state that names get. */
export interface NamesSlice {
  /** Networks that tasks of this node are attached to. */
  readonly networks: readonly NamedNetwork[];
}

/** A task of this node, and where to set up its names. */
export interface NamedTask {
  readonly taskId: TaskId;
  readonly netns: string;
  readonly attachments: readonly CheckedAttachment[];
}

/**
 * Names and virtual addresses of services, as the tasks of this node see them.
 *
 * Calls of `apply` do not overlap. Names work before a task's first instruction: `attach` is called once its
 * links exist.
 */
export interface ServiceNames {
  /** Makes tasks find exactly this, at the latest once the transaction of all parts is committed. */
  apply(slice: NamesSlice): Promise<void>;
  attach(task: NamedTask): Promise<void>;
  /** Ignores a task that it does not know. */
  detach(taskIds: readonly TaskId[]): Promise<void>;
  /** `keep` leaves what works without this process. */
  close(options: { readonly keep: boolean }): Promise<void>;
}

/**
 * For a cluster whose only network is the ingress network, which has no names: a task has nothing to look up.
 * Refuses a network that has names, instead of leaving its tasks without them.
 */
export const noServiceNames: ServiceNames = {
  async apply({ networks }) {
    if (networks.length === 0) return;
    const ids = networks.map(({ networkId }) => networkId).join(', ');
    throw new Error(
      `mesh: this node does not support names and virtual addresses for the networks ${ids}`,
    );
  },
  attach: async () => {},
  detach: async () => {},
  close: async () => {},
};
