import { parseHostPort } from '@swarm/api/client';
import type { ApiClient } from './api-client.js';

/** The daemon itself and, for one at an address with TLS, the other managers. */
export async function managersAt(client: ApiClient): Promise<readonly ApiClient[]> {
  const { endpoint } = client;
  if ('socketPath' in endpoint || endpoint.tls === undefined) return [client];
  try {
    const info = await client.get<{ Swarm?: { RemoteManagers?: { Addr: string }[] } }>('/info');
    const others = (info.Swarm?.RemoteManagers ?? []).flatMap(({ Addr }) => {
      const address = parseHostPort(Addr);
      const isSame = address?.host === endpoint.host && address.port === endpoint.port;
      return address === undefined || isSame ? [] : [client.at({ ...endpoint, ...address })];
    });
    return [client, ...others];
  } catch {
    return [client];
  }
}
