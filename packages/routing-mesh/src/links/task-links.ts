import type { IpAddress } from '@swarm/api';
import type { CheckedAttachment, CheckedOverlay, CheckedPeer } from '../checked.js';
import type { CheckedIngress } from '../ingress.js';
import type { NetworkId, TaskId } from '../layout.js';

/** What to link a task with. */
export interface LinkWishes {
  readonly taskId: TaskId;
  /** Path of the task's network namespace; empty if tasks share the host's. */
  readonly netns: string;
  /** One link each, in this order. */
  readonly attachments: readonly CheckedAttachment[];
  /** Largest packet of the links. */
  readonly mtuBytes: number;
}

/** What a link says of its overlay network. */
export type NetworkTraits = Pick<CheckedOverlay, 'isInternal' | 'isEncrypted'>;

/** A task's link to one network, as found: all that a restarted daemon has to know. */
export interface FoundLink {
  /** Undefined if somebody else made the link, or changed it. */
  readonly taskId: TaskId | undefined;
  /** Undefined if the link does not say. */
  readonly networkId: NetworkId | undefined;
  /** Position of the network among the task's. */
  readonly place: number;
  /** Of an overlay network; undefined for the ingress network. */
  readonly traits: NetworkTraits | undefined;
  /** Addresses that are routed to it. */
  readonly addresses: readonly IpAddress[];
}

/**
 * The links between this node and its tasks. Calls for different tasks may overlap.
 */
export interface TaskLinks {
  /** Tells the node's own place: its tasks have addresses from its block. */
  start(self: CheckedPeer, ingress: CheckedIngress): void;

  /**
   * Links a task with its networks before its first instruction. A repeated call makes the links again.
   * @throws RangeError when a task of this node cannot have one of the addresses
   * @throws when the namespace is gone or the kernel refuses; then nothing of the task is left
   */
  attach(task: LinkWishes): Promise<void>;

  /** Whether the task has exactly these links, from an earlier process or this one. */
  isAttached(task: LinkWishes): Promise<boolean>;

  /** Removes all links of a task, if it has any. */
  detach(taskId: TaskId): Promise<void>;

  /** All links of tasks on this node. */
  list(): Promise<readonly FoundLink[]>;

  /** Removes the links of all tasks but these. */
  retain(taskIds: ReadonlySet<string>): Promise<void>;
}
