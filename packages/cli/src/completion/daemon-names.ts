import { type Node, type Service, showControls, type Task } from '@swarm/api/client';
import { ApiClient, type ApiClientOptions } from '../client/api-client.js';
import { resolveEndpoint } from '../client/endpoint.js';
import type { Candidate, LiveHost, LiveNames } from './complete.js';

/** Longest wait for the daemon while somebody waits after pressing Tab. */
export const COMPLETION_DEADLINE_MS = 500;
/** A list longer than this helps nobody. */
const CANDIDATES_LIMIT = 1000;
/** Names come from other hosts and end up on a command line: allow nothing that means something to a shell. */
const PLAIN_NAME = /^[\p{L}\p{N}_][\p{L}\p{N}_.@+/-]*$/u;

/** Asks the daemon; one that refuses or does not answer in time has no names. */
export function daemonNames(
  env: NodeJS.ProcessEnv,
  options: Pick<ApiClientOptions, 'managerTls'> & { readonly uid: number },
  deadlineMs = COMPLETION_DEADLINE_MS,
): LiveNames {
  const signal = AbortSignal.timeout(deadlineMs);
  return {
    async of(kind, host) {
      try {
        return (await within(signal, LISTS[kind](clientOf(host, env, { ...options, signal }))))
          .filter(({ value }) => PLAIN_NAME.test(value))
          .slice(0, CANDIDATES_LIMIT)
          .map(({ value, about }) => ({ value, about: showControls(about) }));
      } catch {
        // Nobody wants to read an error between two key presses.
        return [];
      }
    },
  };
}

function clientOf(
  { host, tlsVerify }: LiveHost,
  env: NodeJS.ProcessEnv,
  options: ApiClientOptions & { readonly uid: number },
): ApiClient {
  return new ApiClient(resolveEndpoint(host, env, options.uid, tlsVerify), options);
}

/** Does not wait for what cannot be aborted either, such as looking up a name. */
function within<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    work.then(resolve, reject);
  });
}

type List = (client: ApiClient) => Promise<Candidate[]>;

const LISTS: Readonly<Record<'network' | 'node' | 'service' | 'task', List>> = {
  async network(client) {
    type Named = { readonly Name: string; readonly Driver: string; readonly Scope: string };
    const networks = await client.get<Named[]>('/networks');
    return networks.map(({ Name, Driver, Scope }) => ({
      value: Name,
      about: `${Driver}, ${Scope}`,
    }));
  },
  async node(client) {
    const nodes = await client.get<Node[]>('/nodes');
    const names = nodes.map((node) => node.Description?.Hostname ?? '');
    return nodes.map((node, at) => ({
      // A name that two nodes share identifies neither.
      value: names.indexOf(names[at]!) === names.lastIndexOf(names[at]!) ? names[at]! : node.ID,
      about: `${node.Spec.Role}, ${node.Status.State}, ${node.Spec.Availability}`,
    }));
  },
  async service(client) {
    const services = await client.get<Service[]>('/services');
    return services.map(({ Spec: spec }) => ({
      value: spec.Name,
      about: spec.TaskTemplate.ContainerSpec?.Image ?? '',
    }));
  },
  async task(client) {
    const filters = { 'desired-state': { running: true } };
    const tasks = await client.get<Task[]>('/tasks', { filters });
    return tasks.map((task) => ({
      value: task.ID,
      about: `${task.ServiceName ?? task.ServiceID}.${task.Slot > 0 ? task.Slot : (task.NodeID ?? '')}`,
    }));
  },
};
