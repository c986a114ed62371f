import { type ApiClient, DaemonError } from './api-client.js';

/** The names of networks of the cluster, by what a spec has: ids. One that is gone has no name. */
export async function networkNames(
  client: ApiClient,
  targets: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>();
  for (const target of new Set(targets)) {
    try {
      const path = `/networks/${encodeURIComponent(target)}`;
      const { Name } = await client.get<{ readonly Name: string }>(path, { scope: 'swarm' });
      names.set(target, Name);
    } catch (error) {
      if (!(error instanceof DaemonError && error.status === 404)) throw error;
    }
  }
  return names;
}
