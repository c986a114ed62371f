import { INSTANCE_LIMIT, isObjectId } from '@swarm/api';
import { type ManagerCalls, PROBE_PATH } from './join-raft.js';
import type { ProbeReply } from './leader-link.js';

/** What a manager says of itself. What it sent in another shape is left out. */
export type Probed = Partial<Pick<ProbeReply, 'nodeId' | 'instance'>> & Pick<ProbeReply, 'leads'>;

/**
 * Asks a manager at an address, `host:port`, who it is.
 * @param nodeId refuse every other node
 * @throws ApiError what it answered, or why it could not be reached
 */
export async function probeManager(
  calls: ManagerCalls,
  address: string,
  timeoutMs: number,
  nodeId?: string,
): Promise<Probed> {
  const call = { address, method: 'GET', path: PROBE_PATH, timeoutMs } as const;
  const said = await calls.call(call, nodeId);
  const reply = (said ?? {}) as Readonly<Record<string, unknown>>;
  const instance = readInstance(reply.instance);
  return {
    leads: reply.leads === true,
    ...(isObjectId(reply.nodeId) && { nodeId: reply.nodeId }),
    ...(instance !== undefined && { instance }),
  };
}

/** The run of a daemon as it names it itself; undefined when it names none. */
export function readInstance(value: unknown): string | undefined {
  const isInstance = typeof value === 'string' && value !== '' && value.length <= INSTANCE_LIMIT;
  return isInstance ? value : undefined;
}
