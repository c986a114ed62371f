import type { EngineClient } from './engine-client.js';

/**
 * The engine's network for tasks without one of the cluster's: its default bridge, as in Docker Swarm, so
 * that they reach the outside. An engine started with `--bridge=none` has no such network; then they only
 * have loopback (`none`). Never the host's own network: that would expose it to every task.
 */
export async function defaultNetwork(
  engine: EngineClient,
  signal?: AbortSignal,
): Promise<'bridge' | 'none'> {
  const networks = await engine.json<readonly { readonly Name: string }[]>('GET', '/networks', {
    query: { filters: JSON.stringify({ driver: ['bridge'] }) },
    ...(signal === undefined ? {} : { signal }),
  });
  return networks.some(({ Name }) => Name === 'bridge') ? 'bridge' : 'none';
}
