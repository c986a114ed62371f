import type { Node, NodeSpec, Task, TLSInfo } from '@swarm/api';
import { ourCommands } from '@swarm/api/client';
import { type Command, type CommandContext, type Flags, UsageError } from '../command.js';
import { changeList } from '../flags/list-change.js';
import { LABEL } from '../flags/text-lists.js';
import { splitPair } from '../flags/values.js';
import { capital } from '../output/capital.js';
import { filterMap } from '../output/filters.js';
import { type List, parseListFormat } from '../output/format.js';
import { INSPECT_FLAGS, inspectAll } from '../output/inspect.js';
import { shown } from '../output/shown.js';
import { prettyNode } from '../output/pretty-node.js';
import { printTasks, TASK_LIST_FLAGS } from '../output/tasks.js';
import { forEachName } from './for-each.js';

interface SwarmInfo {
  readonly NodeID: string;
  readonly Cluster?: { readonly TLSInfo?: Partial<TLSInfo> };
  /** Nodes that ask this manager for work, and that the cluster does not know. */
  readonly Strangers?: readonly { readonly NodeID: string; readonly Addr: string }[];
}

/** Fields that the default table leaves out. */
const HIDDEN = ['TLSStatus', 'Message', 'Self'];

const LIST: List = {
  name: 'node ls',
  fields: {
    ID: 'ID',
    Hostname: 'HOSTNAME',
    Status: 'STATUS',
    Availability: 'AVAILABILITY',
    ManagerStatus: 'MANAGER STATUS',
    EngineVersion: 'ENGINE VERSION',
    TLSStatus: 'TLS STATUS',
    Message: 'MESSAGE',
    // Has no heading in Docker's tables either.
    Self: '',
  },
  hidden: HIDDEN,
  raw: {
    all: 'node_id: {{.ID}}\\nhostname: {{.Hostname}}\\nstatus: {{.Status}}\\navailability: {{.Availability}}\\nmanager_status: {{.ManagerStatus}}\\n',
    quiet: 'node_id: {{.ID}}',
  },
};

const COLUMNS = Object.keys(LIST.fields).filter((name) => !HIDDEN.includes(name));

const LS: Command = {
  path: ['node', 'ls'],
  usage: '[OPTIONS]',
  about: 'List the nodes of the cluster.',
  flags: {
    filter: { type: 'list', short: 'f', about: 'filter output by key=value' },
    format: { type: 'string', about: 'json, table, raw or a Go template' },
    quiet: { type: 'boolean', short: 'q', about: 'only show ids' },
  },
  least: 0,
  most: 0,
  examples: [
    { line: 'node ls --filter role=manager', about: 'managers only' },
    { line: "node ls --format '{{.Hostname}} {{.Status}}'", about: 'two fields per line' },
  ],
  async run({ args, client, output }) {
    const printer = await parseListFormat(args.string('format'), LIST, args.boolean('quiet'));
    const nodes = await client.get<Node[]>('/nodes', { filters: filterMap(args.list('filter')) });
    const { Swarm: swarm } = await client.get<{ Swarm: SwarmInfo }>('/info');
    const self = swarm.NodeID;
    const ofCluster = swarm.Cluster?.TLSInfo;
    const sorted = [...nodes].sort((a, b) =>
      hostname(a).localeCompare(hostname(b), 'en', { numeric: true }),
    );
    if (printer.isQuiet) {
      for (const node of sorted) output.line(shown(node.ID));
      return 0;
    }
    const rows = sorted.map((node) => ({
      ID: node.ID,
      Self: node.ID === self,
      Hostname: hostname(node),
      Status: capital(node.Status.State),
      Availability: capital(node.Spec.Availability),
      ManagerStatus: managerStatus(node),
      TLSStatus: tlsStatus(node, ofCluster),
      EngineVersion: node.Description?.Engine.EngineVersion ?? '',
      Message: ourCommands(node.Status.Message ?? ''),
    }));
    // What is wrong with a node, or what it waits for, is worth a column; mostly there is nothing to say.
    const columns = rows.some(({ Message }) => Message !== '') ? [...COLUMNS, 'Message'] : COLUMNS;
    printer.print(output, rows, {
      cells: (row) => (row.Self ? { ...row, ID: `${row.ID} *` } : row),
      columns,
      wrapped: 'Message',
    });
    if (printer.isDefaultTable)
      for (const line of strangerLines(shown(swarm.Strangers ?? []))) output.line(line);
    return 0;
  },
};

const INSPECT: Command = {
  path: ['node', 'inspect'],
  usage: '[OPTIONS] self|NODE [NODE...]',
  about: 'Show the details of one or more nodes.',
  flags: INSPECT_FLAGS,
  least: 1,
  completes: ['node'],
  examples: [
    { line: 'node inspect --pretty self', about: 'this node, for people' },
    { line: "node inspect -f '{{.Status.Addr}}' worker1", about: 'one field' },
  ],
  run: (context) =>
    inspectAll(context, {
      read: (name) => getNode(context, name),
      pretty: prettyNode,
      type: async () => (await import('../output/types/node.js')).NODE,
    }),
};

const PS: Command = {
  path: ['node', 'ps'],
  usage: '[OPTIONS] [NODE...]',
  about: 'List the tasks of one or more nodes (default: this one).',
  flags: TASK_LIST_FLAGS,
  least: 0,
  completes: ['node'],
  examples: [{ line: 'node ps --filter desired-state=running worker1', about: 'without history' }],
  async run(context) {
    const names = context.args.positionals.length === 0 ? ['self'] : context.args.positionals;
    const read = async () => {
      const ids: Record<string, true> = {};
      for (const name of names) ids[(await getNode(context, name)).ID] = true;
      const filters = { ...filterMap(context.args.list('filter')), node: ids };
      return context.client.get<Task[]>('/tasks', { filters });
    };
    await printTasks(context, read, Date.now);
    return 0;
  },
};

const UPDATE_FLAGS: Flags = {
  availability: {
    type: 'string',
    about: 'availability: active, pause or drain',
    choices: ['active', 'pause', 'drain'],
  },
  'label-add': { type: 'list', about: 'add or update a node label (key=value)' },
  'label-rm': { type: 'list', about: 'remove a node label' },
  role: { type: 'string', about: 'role: worker or manager', choices: ['worker', 'manager'] },
};

const UPDATE: Command = {
  path: ['node', 'update'],
  usage: '[OPTIONS] NODE',
  about: 'Update a node.',
  flags: UPDATE_FLAGS,
  least: 1,
  most: 1,
  completes: ['node'],
  examples: [
    { line: 'node update --availability drain worker1', about: 'move its tasks elsewhere' },
    { line: 'node update --label-add zone=east worker1', about: 'for --constraint' },
  ],
  async run(context) {
    const { args, output } = context;
    const availability = choice('availability', args.string('availability'), [
      'active',
      'pause',
      'drain',
    ] as const);
    const role = choice('role', args.string('role'), ['worker', 'manager'] as const);
    const name = args.positionals[0]!;
    await changeNode(context, name, (spec) => {
      const labels = changeList(LABEL, `node ${name}`, Object.entries(spec.Labels ?? {}), {
        removed: args.list('label-rm'),
        added: args.list('label-add').map(splitPair),
      });
      return {
        ...spec,
        Labels: Object.fromEntries(labels),
        ...(availability === undefined ? {} : { Availability: availability }),
        ...(role === undefined ? {} : { Role: role }),
      };
    });
    output.line(name);
    return 0;
  },
};

const PROMOTE = roleCommand('promote', 'manager', 'Promote one or more nodes to manager.');
const DEMOTE = roleCommand('demote', 'worker', 'Demote one or more nodes from manager.');

const RM: Command = {
  path: ['node', 'rm'],
  usage: '[OPTIONS] NODE [NODE...]',
  about: 'Remove one or more nodes from the cluster.',
  flags: { force: { type: 'boolean', short: 'f', about: 'remove a node that is still up' } },
  least: 1,
  completes: ['node'],
  run(context) {
    const { args, client, output } = context;
    return forEachName(context, async (name) => {
      await client.delete(`/nodes/${encodeURIComponent(name)}`, {
        force: args.boolean('force') ? 1 : undefined,
      });
      output.line(name);
    });
  },
};

export const NODE_COMMANDS: readonly Command[] = [DEMOTE, INSPECT, LS, PROMOTE, PS, RM, UPDATE];

function roleCommand(word: 'promote' | 'demote', role: NodeSpec['Role'], about: string): Command {
  return {
    path: ['node', word],
    usage: 'NODE [NODE...]',
    about,
    flags: {},
    least: 1,
    completes: ['node'],
    run: (context) =>
      forEachName(context, async (name) => {
        const changed = await changeNode(context, name, (spec) =>
          spec.Role === role ? undefined : { ...spec, Role: role },
        );
        const done =
          word === 'promote'
            ? `Node ${name} promoted to a manager in the swarm.`
            : `Manager ${name} demoted in the swarm.`;
        context.output.line(changed ? done : `Node ${name} is already a ${role}.`);
      }),
  };
}

async function getNode({ client }: CommandContext, name: string): Promise<Node> {
  const id =
    name === 'self'
      ? (await client.get<{ Swarm: { NodeID: string } }>('/info')).Swarm.NodeID
      : name;
  if (id === '')
    throw new UsageError(
      "this node is not part of a cluster: run 'swarm init' or 'swarm join' first",
    );
  return client.get<Node>(`/nodes/${encodeURIComponent(id)}`);
}

async function changeNode(
  context: CommandContext,
  name: string,
  change: (spec: NodeSpec) => NodeSpec | undefined,
): Promise<boolean> {
  const node = await getNode(context, name);
  const spec = change(node.Spec);
  if (spec === undefined) return false;
  await context.client.post(`/nodes/${node.ID}/update`, { version: node.Version.Index }, spec);
  return true;
}

function choice<T extends string>(
  flag: string,
  value: string | undefined,
  allowed: readonly T[],
): T | undefined {
  if (value === undefined) return undefined;
  const found = allowed.find((each) => each === value);
  if (found === undefined)
    throw new UsageError(`invalid argument '${value}' for --${flag}: use ${allowed.join(', ')}`);
  return found;
}

function hostname(node: Node): string {
  return node.Description?.Hostname ?? '';
}

function managerStatus(node: Node): string {
  if (node.ManagerStatus === undefined) return '';
  return node.ManagerStatus.Leader === true ? 'Leader' : capital(node.ManagerStatus.Reachability);
}

/** Whether the node's certificate was issued by the root that the cluster now trusts; `Unknown` if either does not say. */
function tlsStatus(node: Node, ofCluster: Partial<TLSInfo> | undefined): string {
  const own = node.Description?.TLSInfo;
  if (own?.TrustRoot === undefined || ofCluster?.TrustRoot === undefined) return 'Unknown';
  const isSame = (['TrustRoot', 'CertIssuerSubject', 'CertIssuerPublicKey'] as const).every(
    (field) => own[field] === ofCluster[field],
  );
  return isSame ? 'Ready' : 'Needs Rotation';
}

/** Addresses of strangers that one line names. */
const STRANGERS_NAMED = 5;

/** What `node ls` prints below its table about nodes that the cluster does not know. */
function strangerLines(strangers: NonNullable<SwarmInfo['Strangers']>): readonly string[] {
  if (strangers.length === 0) return [];
  const addresses = strangers.slice(0, STRANGERS_NAMED).map(({ Addr }) => Addr);
  const more = strangers.length - addresses.length;
  const where = addresses.join(', ') + (more === 0 ? '' : ` and ${more} more`);
  const who = strangers.length === 1 ? '1 node asks' : `${strangers.length} nodes ask`;
  return [
    '',
    `${who} for work that this cluster does not know, from ${where}: run 'swarm leave --force' there, then join again.`,
  ];
}
