import {
  ApiError,
  ATTACH_PATH,
  attachRequestShape,
  type Clock,
  FIND_ATTACHABLE_PATH,
  findAttachableRequestShape,
  RELEASE_PATH,
  releaseRequestShape,
  type Shape,
  ShapeError,
} from '@swarm/api';
import type { Right } from '@swarm/identity';
import { type Rate, TokenBucket } from '../token-bucket.js';
import type { NodeAttachments } from './node-attachments.js';

/** Requests of one node: enough to start a host's containers after a reboot, too few to fill the log. */
const REQUESTS: Rate = { burst: 300, perSecond: 20 };
/** Nodes whose rate is remembered; full budgets are forgotten first. */
const NODES_LIMIT = 4_096;

/** One request of a node to the leader: its right, and what answers it. */
export interface AttachmentRoute {
  readonly right: Right;
  handle(nodeId: string, body: unknown): Promise<unknown>;
}

/** What nodes may ask of the leader for containers of their engines. */
export function attachmentRoutes(
  attachments: NodeAttachments,
  clock: Clock,
): readonly AttachmentRoute[] {
  const rates = new NodeRates(clock);
  const route = (right: Right, answer: AttachmentRoute['handle']): AttachmentRoute => ({
    right,
    async handle(nodeId, body) {
      rates.spend(nodeId);
      return answer(nodeId, body);
    },
  });
  return [
    route(`POST ${FIND_ATTACHABLE_PATH}`, async (_nodeId, body) => {
      const { ID, Spec } = attachments.find(read(findAttachableRequestShape, body).Network);
      return { ID, Name: Spec.Name };
    }),
    route(`GET ${ATTACH_PATH}`, async (nodeId) => attachments.list(nodeId)),
    route(`POST ${ATTACH_PATH}`, (nodeId, body) =>
      attachments.attach(nodeId, read(attachRequestShape, body)),
    ),
    route(`POST ${RELEASE_PATH}`, async (nodeId, body) => {
      await attachments.release(nodeId, read(releaseRequestShape, body).TaskIDs);
      return {};
    }),
  ];
}

/** @throws ApiError INVALID_ARGUMENT that names the field */
function read<T>(shape: Shape<T>, body: unknown): T {
  try {
    return shape.read(body);
  } catch (error) {
    if (error instanceof ShapeError) throw new ApiError('INVALID_ARGUMENT', error.message);
    throw error;
  }
}

/** How often each node has asked lately. */
class NodeRates {
  readonly #clock: Clock;
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @throws ApiError OVERLOADED */
  spend(nodeId: string): void {
    const now = this.#clock.monotonicMs();
    let bucket = this.#buckets.get(nodeId);
    if (bucket === undefined) {
      if (this.#buckets.size >= NODES_LIMIT) this.#forget(now);
      bucket = new TokenBucket(REQUESTS, now);
      this.#buckets.set(nodeId, bucket);
    }
    if (!bucket.has(now)) {
      throw new ApiError(
        'OVERLOADED',
        'this node asks too often for places on networks: try again in a second',
      );
    }
    bucket.spend(1, now);
  }

  #forget(now: number): void {
    for (const [nodeId, bucket] of this.#buckets)
      if (bucket.isFull(now)) this.#buckets.delete(nodeId);
  }
}
