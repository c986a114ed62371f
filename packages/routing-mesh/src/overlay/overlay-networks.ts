import type { CheckedOverlay, CheckedPeer, CheckedTask } from '../checked.js';
import type { CheckedIngress } from '../ingress.js';
import type { TaskId } from '../layout.js';
import type { FoundLink } from '../links/task-links.js';
import type { NetworkTouches, NetworkViews } from './network-view.js';

/** The part of a state that overlay networks get. */
export interface OverlaySlice {
  /** Nodes that this one can reach, by id; includes itself. */
  readonly peers: ReadonlyMap<string, CheckedPeer>;
  /** The networks of this node's tasks. */
  readonly networks: NetworkViews;
  /** Where they may differ from the last slice, whose peers are the same. */
  readonly touched: NetworkTouches;
}

/**
 * Overlay networks on this node: ways to their tasks on other nodes, the walls between networks, and virtual
 * addresses of services.
 *
 * Calls must not overlap; the mesh that owns the parts ensures that. For each state, and whenever a task comes or
 * goes, it calls `apply`, then commits the transaction of all parts, then calls `settle`.
 */
export interface OverlayNetworks {
  start(self: CheckedPeer, ingress: CheckedIngress): Promise<void>;

  /**
   * Takes over tasks that an earlier process attached, as their links say.
   * @returns their networks; without the names
   */
  adopt(links: readonly FoundLink[]): Promise<ReadonlyMap<TaskId, readonly CheckedOverlay[]>>;

  /** Leads this node's tasks to exactly these members and services, at the latest once the transaction is committed. */
  apply(slice: OverlaySlice): Promise<void>;

  /** Removes ways and ends connections that nothing of the committed slice needs. */
  settle(options: { readonly isUnsure: boolean }): Promise<void>;

  /**
   * Takes in a task of this node, whose links exist; its networks come with the next `apply`.
   * @throws when this node cannot carry one of its networks; the message says why
   */
  attach(task: Pick<CheckedTask, 'taskId' | 'attachments'>): Promise<void>;

  /** Ignores a task that it does not know. */
  detach(taskIds: readonly TaskId[]): Promise<void>;

  /**
   * Restores what somebody removed.
   * @returns whether anything was missing
   */
  repair(): Promise<boolean>;

  /** `keep` leaves the kernel as it is. */
  close(options: { readonly keep: boolean }): Promise<void>;
}

/** For nodes without links of their own: a task on an overlay network is refused. */
export const noOverlayNetworks: OverlayNetworks = {
  start: async () => {},
  adopt: async () => new Map(),
  apply: async () => {},
  settle: async () => {},
  async attach({ taskId, attachments }) {
    const overlay = attachments.find((one) => one.overlay !== undefined)?.overlay;
    if (overlay === undefined) return;
    throw new Error(
      `mesh: task ${taskId} cannot have the network ${overlay.name}: this node has no kernel networking`,
    );
  },
  detach: async () => {},
  repair: async () => false,
  close: async () => {},
};
