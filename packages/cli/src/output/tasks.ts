import type { Node, PortConfig, ShownService, Task } from '@swarm/api';
import type { ApiClient } from '../client/api-client.js';
import type { CommandContext, Flags } from '../command.js';
import { capital } from './capital.js';
import { type List, parseListFormat } from './format.js';
import { shown } from './shown.js';
import { reasonOf } from './task-reason.js';
import { humanDuration } from './time.js';

/** Flags of every command that lists tasks. */
export const TASK_LIST_FLAGS: Flags = {
  filter: { type: 'list', short: 'f', about: 'filter output by key=value' },
  format: { type: 'string', about: 'json, table, raw or a Go template' },
  'no-resolve': { type: 'boolean', about: 'do not map ids to names' },
  'no-trunc': { type: 'boolean', about: 'do not shorten output' },
  quiet: { type: 'boolean', short: 'q', about: 'only show task ids' },
};

const RAW_FIELDS = [
  ...['id: {{.ID}}', 'name: {{.Name}}', 'image: {{.Image}}', 'node: {{.Node}}'],
  ...['desired_state: {{.DesiredState}}', 'current_state: {{.CurrentState}}'],
  ...['error: {{.Error}}', 'ports: {{.Ports}}'],
];

const LIST: List = {
  name: 'ps',
  fields: {
    ID: 'ID',
    Name: 'NAME',
    Image: 'IMAGE',
    Node: 'NODE',
    DesiredState: 'DESIRED STATE',
    CurrentState: 'CURRENT STATE',
    Error: 'ERROR',
    Ports: 'PORTS',
  },
  raw: { all: RAW_FIELDS.map((line) => `${line}\\n`).join(''), quiet: 'id: {{.ID}}' },
};

const ID_WIDTH = 12;

/**
 * Prints tasks for `service ps` and `node ps`: by service and slot, newest first, older ones as history.
 * @param read finds the tasks, once the format is known to be one
 * @param clock wall clock, for the age of states
 */
export async function printTasks(
  context: CommandContext,
  read: () => Promise<readonly Task[]>,
  clock: () => number,
): Promise<void> {
  const { args, output, client } = context;
  const printer = await parseListFormat(args.string('format'), LIST, args.boolean('quiet'));
  const tasks = await read();
  const now = clock();
  const sorted = [...tasks].sort(
    (a, b) =>
      (a.ServiceName ?? '').localeCompare(b.ServiceName ?? '', 'en', { numeric: true }) ||
      a.ServiceID.localeCompare(b.ServiceID) ||
      (a.Slot ?? 0) - (b.Slot ?? 0) ||
      slotKey(a).localeCompare(slotKey(b)) ||
      b.CreatedAt.localeCompare(a.CreatedAt),
  );
  if (printer.isQuiet) {
    for (const task of sorted) output.line(shown(task.ID));
    return;
  }
  const names = args.boolean('no-resolve') ? undefined : await resolver(client, sorted);
  const full = args.boolean('no-trunc');
  let previous = '';
  const rows = sorted.map((task) => {
    const slot = `${task.ServiceID}/${slotKey(task)}`;
    const history = slot === previous;
    previous = slot;
    const reason = reasonOf(task);
    return {
      ID: full ? task.ID : task.ID.slice(0, ID_WIDTH),
      Name: (history ? ' \\_ ' : '') + taskName(task, names, full),
      Image: imageName(task, full),
      Node: nodeName(task, names, { full, forPeople: printer.isDefaultTable }),
      DesiredState: capital(task.DesiredState),
      CurrentState: `${capital(task.Status.State)} ${humanDuration(now - Date.parse(task.Status.Timestamp)).toLowerCase()} ago`,
      Error: reason === '' ? '' : `"${reason}"`,
      Ports: hostPorts(task.Status.PortStatus?.Ports ?? []),
    };
  });
  printer.print(output, rows, full ? {} : { wrapped: 'Error' });
  if (!printer.isDefaultTable || names === undefined) return;
  const listed = new Set(tasks.map(({ ServiceID }) => ServiceID));
  const services = [...names.services.values()].filter(({ ID }) => listed.has(ID));
  for (const line of conflictLines(services)) output.error(shown(line));
}

/** Where the ports of these services are not served: a client may be led to any node. */
function conflictLines(services: Iterable<ServiceName>): string[] {
  return [...services].flatMap(({ Spec, PortConflicts }) =>
    (PortConflicts ?? []).map(
      ({ Protocol, PublishedPort, Hostname, Reason }) =>
        `port ${PublishedPort}/${Protocol} of ${Spec.Name} is not served on ${Hostname}: ${Reason}`,
    ),
  );
}

type ServiceName = Pick<ShownService, 'ID' | 'PortConflicts'> & {
  readonly Spec: { readonly Name: string };
};

interface Names {
  readonly nodes: ReadonlyMap<string, string>;
  /** Host names that several nodes have, as when a host left and joined again. */
  readonly shared: ReadonlySet<string>;
  readonly services: ReadonlyMap<string, ServiceName>;
}

async function resolver(client: ApiClient, tasks: readonly Task[]): Promise<Names> {
  const nodes = new Map<string, string>();
  const services = new Map<string, ServiceName>();
  const found = await client.get<Node[]>('/nodes');
  const bearers = new Map<string, number>();
  for (const node of found) {
    const name = node.Description?.Hostname ?? node.ID;
    nodes.set(node.ID, name);
    bearers.set(name, (bearers.get(name) ?? 0) + 1);
  }
  if (tasks.length > 0) {
    for (const service of await client.get<ServiceName[]>('/services')) {
      services.set(service.ID, service);
    }
  }
  const shared = new Set([...bearers].filter(([, count]) => count > 1).map(([name]) => name));
  return { nodes, shared, services };
}

function taskName(task: Task, names: Names | undefined, full: boolean): string {
  const service =
    names?.services.get(task.ServiceID)?.Spec.Name ??
    (names === undefined ? task.ServiceID : (task.ServiceName ?? task.ServiceID));
  const name = `${service}.${slotKey(task)}`;
  return full ? `${name}.${task.ID}` : name;
}

/** For people, with the id where several nodes have the name; scripts compare the names. */
function nodeName(
  { NodeID = '' }: Task,
  names: Names | undefined,
  { full, forPeople }: { readonly full: boolean; readonly forPeople: boolean },
): string {
  const name = names?.nodes.get(NodeID) ?? NodeID;
  if (!forPeople || names?.shared.has(name) !== true) return name;
  return `${name} (${full ? NodeID : NodeID.slice(0, ID_WIDTH)})`;
}

function slotKey(task: Task): string {
  return (task.Slot ?? 0) > 0 ? String(task.Slot) : (task.NodeID ?? '');
}

function imageName(task: Task, full: boolean): string {
  const image = task.Spec.ContainerSpec?.Image ?? '';
  return full ? image : image.replace(/@sha256:[0-9a-f]+$/, '');
}

/** `*:8080->80/tcp`, with the address that it is published on in place of `*`. */
export function shownPort({ HostIP, PublishedPort, TargetPort, Protocol }: PortConfig): string {
  const host = HostIP?.includes(':') ? `[${HostIP}]` : (HostIP ?? '*');
  return `${host}:${PublishedPort}->${TargetPort}/${Protocol}`;
}

export function hostPorts(ports: readonly PortConfig[]): string {
  return ports
    .filter((port) => port.PublishMode === 'host')
    .map(shownPort)
    .join(',');
}
