import type { Node, Service, Task } from '@swarm/api';
import type { ApiClient } from '../client/api-client.js';
import { DaemonError } from '../client/api-client.js';
import { UsageError } from '../command.js';

/** Where a connection begins or ends, with the addresses it can have there. */
export interface MeshEnd {
  /** As people read it. */
  readonly name: string;
  /** By network id; the key `''` for an address of a host. */
  readonly addresses: ReadonlyMap<string, string>;
}

export interface MeshTarget extends MeshEnd {
  readonly port: number;
  /** Of a service: its published port, reached at any node. */
  readonly publishedPort?: number;
}

const ADDRESS = /^(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:.]*)$/;

/** `A`: a task, service, node or address. @throws UsageError */
export async function findEnd(client: ApiClient, text: string): Promise<MeshEnd> {
  if (ADDRESS.test(text)) return { name: text, addresses: new Map([['', text]]) };
  const task = await found<Task>(client, `/tasks/${encodeURIComponent(text)}`);
  if (task !== undefined) return ofTask(task);
  const service = await found<Service>(client, `/services/${encodeURIComponent(text)}`);
  if (service !== undefined) {
    const [one] = await runningTasks(client, service);
    if (one === undefined) throw new UsageError(`service ${text} has no running task to begin at`);
    return ofTask(one);
  }
  return ofNode(client, text);
}

/** `B:80`: a service, task, node or address; `:8080` a published port of this node. @throws UsageError */
export async function findTarget(client: ApiClient, text: string): Promise<MeshTarget> {
  const at = text.lastIndexOf(':');
  const port = Number(text.slice(at + 1));
  if (at === -1 || !/^\d{1,5}$/.test(text.slice(at + 1)) || port < 1 || port > 65_535) {
    throw new UsageError(`invalid argument '${text}' for --to: write it with a port, like web:80`);
  }
  const name = text.slice(0, at).replace(/^\[(.*)\]$/, '$1');
  if (name === '') return { name: text, addresses: new Map(), port, publishedPort: port };
  if (ADDRESS.test(name)) return { name: text, addresses: new Map([['', name]]), port };
  const service = await found<Service>(client, `/services/${encodeURIComponent(name)}`);
  if (service === undefined) {
    const task = await found<Task>(client, `/tasks/${encodeURIComponent(name)}`);
    return { ...(task === undefined ? await ofNode(client, name) : ofTask(task)), port };
  }
  const { VirtualIPs = [], Ports = [] } = service.Endpoint ?? {};
  const addresses = new Map(VirtualIPs.flatMap(({ NetworkID, Addr }) => pair(NetworkID, Addr)));
  const published = Ports.find(
    ({ PublishedPort, TargetPort }) => PublishedPort === port || TargetPort === port,
  )?.PublishedPort;
  if (addresses.size === 0 && published === undefined) {
    const [task] = await runningTasks(client, service);
    if (task !== undefined) return { ...ofTask(task), port };
    throw new UsageError(
      `service ${name} publishes no port ${port}, has no virtual address and no running task`,
    );
  }
  const found_ = { name: text, addresses, port };
  return published === undefined ? found_ : { ...found_, publishedPort: published };
}

function ofTask(task: Task): MeshEnd {
  const attachments = task.NetworksAttachments ?? [];
  const addresses = new Map(
    attachments.flatMap(({ Network, Addresses }) => pair(Network.ID, Addresses?.[0])),
  );
  if (addresses.size === 0) {
    throw new UsageError(`task ${task.ID} has no address on a network of the cluster`);
  }
  return { name: `task ${task.ID}`, addresses };
}

function pair(networkId: string, cidr: string | undefined): [string, string][] {
  return cidr === undefined || cidr === '' ? [] : [[networkId, cidr.split('/')[0]!]];
}

async function ofNode(client: ApiClient, name: string): Promise<MeshEnd> {
  const node = await found<Node>(client, `/nodes/${encodeURIComponent(name)}`);
  if (node === undefined) throw new UsageError(`there is no task, service or node "${name}"`);
  return { name: `node ${name}`, addresses: new Map([['', node.Status.Addr ?? '']]) };
}

async function runningTasks(client: ApiClient, service: Service): Promise<readonly Task[]> {
  const filters = { service: { [service.ID]: true }, 'desired-state': { running: true } };
  const tasks = await client.get<Task[]>('/tasks', { filters });
  return tasks.filter(({ Status }) => Status.State === 'running');
}

async function found<T>(client: ApiClient, path: string): Promise<T | undefined> {
  try {
    return await client.get<T>(path);
  } catch (error) {
    if (error instanceof DaemonError && error.status === 404) return undefined;
    if (error instanceof DaemonError && error.code === 'NOT_IN_SWARM') {
      throw new UsageError('this node is not a manager and knows no names: use addresses');
    }
    throw error;
  }
}
