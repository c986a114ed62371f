import type { IpAddress } from '@swarm/api';
import type { CheckedAttachment, CheckedPeer } from '../checked.js';
import type { NetworkId, TaskId } from '../layout.js';

/** What a task is linked with. */
export interface LinkWishes {
  readonly taskId: TaskId;
  /** Path of the task's network namespace; empty where tasks share the host's. */
  readonly netns: string;
  /** One link each, in this order. */
  readonly attachments: readonly CheckedAttachment[];
  /** Largest packet of the links. */
  readonly mtuBytes: number;
}

/** A task's link to one network, as it is found: all that a restarted daemon must know again. */
export interface FoundLink {
  /** Undefined when someone else made the link, or changed it. */
  readonly taskId: TaskId | undefined;
  /** Undefined when the link does not say. */
  readonly networkId: NetworkId | undefined;
  /** Addresses that lead to it. */
  readonly addresses: readonly IpAddress[];
}

/**
 * The links between this node and its tasks. Calls for different tasks may overlap.
 */
export interface TaskLinks {
  /** The node's own place: its tasks' addresses are of its block. */
  start(self: CheckedPeer): void;

  /**
   * Links a task with its networks before its first instruction. Repeating it makes the links again.
   * @throws RangeError when an address cannot be a task's of this node
   * @throws when the namespace is gone or the kernel refuses; nothing of the task is left then
   */
  attach(task: LinkWishes): Promise<void>;

  /** Takes all links of a task away. A task without any is no error. */
  detach(taskId: TaskId): Promise<void>;

  /** All links of tasks that this node has. */
  list(): Promise<readonly FoundLink[]>;

  /** Takes away the links of all tasks but these. */
  retain(taskIds: ReadonlySet<string>): Promise<void>;
}
