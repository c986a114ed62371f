import type { EngineClient } from './engine-client.js';

/**
 * The engine's network for tasks that the cluster gives none: its default bridge, as Docker Swarm has
 * it, so that they reach the outside. An engine that was started with `--bridge=none` has no such
 * network; then they have the loopback alone (`none`). Never the host's own network: that would open
 * it to every task.
 */
export async function defaultNetwork(
  engine: EngineClient,
  signal: AbortSignal,
): Promise<'bridge' | 'none'> {
  const networks = await engine.json<readonly { readonly Name: string }[]>('GET', '/networks', {
    query: { filters: JSON.stringify({ driver: ['bridge'] }) },
    signal,
  });
  return networks.some(({ Name }) => Name === 'bridge') ? 'bridge' : 'none';
}
