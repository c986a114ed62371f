import { lookup as systemLookup } from 'node:dns';
import { Agent, request, type RequestOptions } from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';
import type { LookupFunction } from 'node:net';
import { checkPlace, isLoopback, parseIpAddress, type SocketEndpoint } from '@swarm/api/client';
import { checkPrivateFolder } from '../files/private-folder.js';
import { type ManagerTls, tlsOptions } from './client-tls.js';
import type { Endpoint } from './endpoint.js';

const ADVICE =
  "set XDG_RUNTIME_DIR to a folder of your own, or name the daemon's socket with --host";

/** What a request needs to reach the endpoint, and only that. */
export interface Route {
  readonly request: typeof request;
  readonly options: RequestOptions;
}

/** Makes its own agents: the one that Node.js shares may go through a proxy from the environment. */
export async function routeTo(
  endpoint: Endpoint,
  managerTls: ManagerTls,
  lookup: LookupFunction = systemLookup as LookupFunction,
): Promise<Route> {
  if ('socketPath' in endpoint) {
    const agent = new Agent({ keepAlive: true });
    return { request, options: { socketPath: endpoint.socketPath, agent } };
  }
  const { host, port, tls } = endpoint;
  if (tls !== undefined) {
    const agent = new TlsAgent({ keepAlive: true, ...(await tlsOptions(tls, host, managerTls)) });
    return { request: tlsRequest, options: { host, port, agent } };
  }
  const agent = new Agent({ keepAlive: true });
  return { request, options: { host, port, agent, lookup: loopbackOnly(lookup) } };
}

/**
 * Commands and secrets go through a socket, so only the user and root may have created it.
 * @throws UsageError naming the owner
 */
export function checkSocket({ socketPath, privateFolder }: SocketEndpoint, uid: number): void {
  if (privateFolder !== undefined && !checkPrivateFolder(privateFolder, uid, ADVICE)) return;
  checkPlace(socketPath, uid, ADVICE);
}

/** Connects to the addresses that it checked, without a second lookup in between. */
function loopbackOnly(lookup: LookupFunction): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      const addresses = typeof found === 'string' ? [] : found;
      const elsewhere = addresses.find(({ address }) => {
        const parsed = parseIpAddress(address);
        return parsed === undefined || !isLoopback(parsed);
      });
      const [first] = addresses;
      if (error !== null || first === undefined)
        callback(error ?? new Error(`${hostname} has no address`), []);
      else if (elsewhere !== undefined)
        callback(
          new Error(
            `${hostname} resolves to ${elsewhere.address}, which is another host: nothing was sent. Use tcp://127.0.0.1:PORT`,
          ),
          [],
        );
      else if (options.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}
