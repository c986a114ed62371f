import type { AttachReply, AttachRequest, HeldPlace } from '@swarm/api';

/** Asks the managers for places on networks, in the name of this node. Each throws ApiError. */
export interface AttachmentManagers {
  /** @returns undefined when the cluster has no such network. @throws ApiError PERMISSION_DENIED if it is not attachable */
  find(network: string): Promise<{ readonly ID: string; readonly Name: string } | undefined>;
  /** Makes the container's places exactly these. */
  attach(request: AttachRequest): Promise<AttachReply>;
  release(taskIds: readonly string[]): Promise<void>;
  /** All places of this node. */
  list(): Promise<readonly HeldPlace[]>;
}
