import { callManager, type NodeIdentity, tlsClientOptions } from '@swarm/identity';

/** How long a manager that a user names gets to answer. */
const CHECK_TIMEOUT_MS = 5_000;

/** Checks that a manager of this node's cluster is at an address, `host:port`. @throws ApiError */
export async function checkManager(
  address: string,
  identity: NodeIdentity,
  signal: AbortSignal,
): Promise<void> {
  const tls = tlsClientOptions(identity);
  const call = { address, method: 'GET', path: '/ca/root', tls } as const;
  await callManager({ ...call, timeoutMs: CHECK_TIMEOUT_MS, signal });
}
