import {
  ApiError,
  ATTACH_PATH,
  attachReplyShape,
  FIND_ATTACHABLE_PATH,
  heldPlacesShape,
  type ManagerAddress,
  RELEASE_PATH,
  type Shape,
  shape,
} from '@swarm/api';
import { callManager, type TlsClientOptions } from '@swarm/identity';
import type { AttachmentManagers } from '@swarm/worker';

/** Longest wait for one manager; it waits up to 5 s for a leader. */
const CALL_TIMEOUT_MS = 8_000;
/** Managers that one question goes to, when they cannot be reached. */
const MANAGERS_ASKED = 3;

export interface AttachmentCallsOptions {
  readonly managers: () => readonly ManagerAddress[];
  /** How to talk to this manager. */
  readonly tls: (manager: ManagerAddress) => TlsClientOptions;
}

const foundShape = shape.record<{ ID: string; Name: string }>({
  ID: shape.objectId,
  Name: shape.text(1024),
});

/** Asks managers over their port, each over a connection of its own, one after the other until one answers. */
export function attachmentCalls({ managers, tls }: AttachmentCallsOptions): AttachmentManagers {
  async function ask<T>(
    method: 'GET' | 'POST',
    path: string,
    reply: Shape<T>,
    body?: unknown,
  ): Promise<T> {
    let failure: unknown = new ApiError('NO_QUORUM', 'this node knows no manager: see swarm info');
    for (const manager of managers().slice(0, MANAGERS_ASKED)) {
      try {
        const answer = await callManager({
          ...{ address: manager.address, method, path, body, timeoutMs: CALL_TIMEOUT_MS },
          tls: tls(manager),
        });
        return reply.read(answer);
      } catch (error) {
        failure = error;
        // Any other manager would say the same.
        if (!(error instanceof ApiError) || !MAY_DIFFER.includes(error.code)) throw error;
      }
    }
    throw failure;
  }
  return {
    async find(Network) {
      try {
        return await ask('POST', FIND_ATTACHABLE_PATH, foundShape, { Network });
      } catch (error) {
        if (error instanceof ApiError && error.code === 'NOT_FOUND') return undefined;
        throw error;
      }
    },
    attach: (request) => ask('POST', ATTACH_PATH, attachReplyShape, request),
    async release(TaskIDs) {
      await ask('POST', RELEASE_PATH, { read: () => undefined }, { TaskIDs });
    },
    list: () => ask('GET', ATTACH_PATH, heldPlacesShape),
  };
}

/** Refusals of one manager that say nothing about the next. */
const MAY_DIFFER: readonly string[] = ['TIMEOUT', 'NO_QUORUM', 'NOT_IN_SWARM', 'UNAUTHENTICATED'];
