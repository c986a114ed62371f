import type { Network } from '../objects/others.js';
import type { PortConfig } from '../objects/service.js';
import type { Task } from '../objects/task.js';
import { networkShape } from '../shapes/others.js';
import { taskShape } from '../shapes/task.js';
import { portConfigShape } from '../shapes/service.js';
import { list, record, text } from './shape.js';

/**
 * Requests of a node to the managers for containers of its own Docker Engine, on the managers' port. The node is
 * the one in the certificate.
 */

/** Asks for an attachable network by id or name. */
export const FIND_ATTACHABLE_PATH = '/attachments/network';
/** Asks for places on networks, for one container; asked again, its places become these. */
export const ATTACH_PATH = '/attachments';
/** Gives places back. */
export const RELEASE_PATH = '/attachments/release';

/** Most networks of one container: as many links as a node makes for one task. */
export const ATTACHMENT_NETWORKS_LIMIT = 16;
/** Most further names of a container on one network, and the longest (RFC 1035). */
export const ALIASES_LIMIT = 32;
export const ALIAS_LENGTH_LIMIT = 253;
/** Most ports of one container that its node publishes. */
export const ATTACHMENT_PORTS_LIMIT = 128;
/** Most containers of one node that have places. */
export const NODE_ATTACHMENTS_LIMIT = 1000;

export interface FindAttachableRequest {
  readonly Network: string;
}

export interface AttachRequest {
  readonly ContainerID: string;
  /** The container's name, without Docker's slash. */
  readonly Name: string;
  readonly Networks: readonly { readonly Target: string; readonly Aliases: readonly string[] }[];
  /** Published by the container's node, in mode `host`. */
  readonly Ports: readonly PortConfig[];
}

/** A container's places, and what the node has to know about the networks. */
export interface AttachReply {
  readonly Task: Task;
  readonly Networks: readonly Network[];
}

export interface ReleaseRequest {
  readonly TaskIDs: readonly string[];
}

export const findAttachableRequestShape = record<FindAttachableRequest>({
  Network: text(ALIAS_LENGTH_LIMIT),
});

export const attachRequestShape = record<AttachRequest>({
  ContainerID: text(64),
  Name: text(ALIAS_LENGTH_LIMIT),
  Networks: list(
    record<AttachRequest['Networks'][number]>({
      Target: text(ALIAS_LENGTH_LIMIT),
      Aliases: list(text(ALIAS_LENGTH_LIMIT), ALIASES_LIMIT),
    }),
    ATTACHMENT_NETWORKS_LIMIT,
  ),
  Ports: list(portConfigShape, ATTACHMENT_PORTS_LIMIT),
});

export const attachReplyShape = record<AttachReply>({
  Task: taskShape,
  Networks: list(networkShape, ATTACHMENT_NETWORKS_LIMIT + 1),
});

/** A place that a node has, as the managers know it. */
export interface HeldPlace {
  readonly TaskID: string;
  readonly ContainerID: string;
}

/** All of a node's places. */
export const heldPlacesShape = list(
  record<HeldPlace>({ TaskID: text(64), ContainerID: text(64) }),
  NODE_ATTACHMENTS_LIMIT,
);

export const releaseRequestShape = record<ReleaseRequest>({
  TaskIDs: list(text(64), NODE_ATTACHMENTS_LIMIT),
});
