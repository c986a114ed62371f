import { setTimeout as delay } from 'node:timers/promises';
import { DaemonError } from '../client/api-client.js';
import { create } from '../client/create.js';
import { managersAt } from '../client/managers.js';
import { type Command, type Flags, UsageError } from '../command.js';
import { isConfirmed } from '../confirm.js';
import { ipamConfig } from '../flags/ipam.js';
import { parsePairs } from '../flags/values.js';
import { filterMap } from '../output/filters.js';
import { type List, parseListFormat } from '../output/format.js';
import { INSPECT_FLAGS, inspectAll } from '../output/inspect.js';
import { prettyNetwork, type ShownNetwork } from '../output/pretty-network.js';
import { shown } from '../output/shown.js';
import { forEachName } from './for-each.js';

const ID_WIDTH = 12;

const CREATE_FLAGS: Flags = {
  attachable: { type: 'boolean', about: 'let containers that belong to no service attach to it' },
  driver: {
    type: 'string',
    short: 'd',
    about: 'driver; networks of other drivers are those of one host',
    default: 'overlay',
  },
  gateway: { type: 'list', value: 'IP', about: 'address of a subnet that nobody is given' },
  ingress: { type: 'boolean', about: 'make the network of published ports, after its removal' },
  internal: { type: 'boolean', about: 'tasks reach only each other, not the outside' },
  'ip-range': { type: 'list', value: 'CIDR', about: 'part of a subnet that addresses come from' },
  'ipam-driver': { type: 'string', about: 'driver for addresses', default: 'default' },
  ipv4: { type: 'boolean', about: 'IPv4 addresses; they cannot be left out', default: 'true' },
  ipv6: { type: 'boolean', about: 'IPv6 addresses as well' },
  label: { type: 'list', about: 'label of the network (key=value)' },
  opt: { type: 'list', short: 'o', about: 'option of the driver (key=value)' },
  scope: { type: 'string', about: 'scope: swarm' },
  subnet: {
    type: 'list',
    value: 'CIDR',
    about: 'subnet, one of each family (default: the next free one of the cluster)',
  },
};

const CREATE: Command = {
  path: ['network', 'create'],
  usage: '[OPTIONS] NETWORK',
  about: 'Create a network that spans the cluster.',
  flags: CREATE_FLAGS,
  notYet: ['aux-address', 'config-from', 'config-only', 'ipam-opt'],
  least: 1,
  most: 1,
  examples: [
    { line: 'network create backend', about: 'with a subnet that is free' },
    {
      line: 'network create --subnet 10.1.0.0/24 --gateway 10.1.0.1 --ip-range 10.1.0.128/25 backend',
      about: 'with a subnet of your own',
    },
    {
      line: 'network create --ingress --subnet 10.11.0.0/16 -o com.docker.network.driver.mtu=1200 my-ingress',
      about: 'in place of the ingress network, once that is removed',
    },
    {
      line: 'network create --ipv6 --internal -o com.docker.network.driver.mtu=1400 db',
      about: 'both families, no way out',
    },
  ],
  async run({ args, client, output }) {
    const body = {
      Name: args.positionals[0]!,
      CheckDuplicate: true,
      Driver: args.string('driver') ?? 'overlay',
      Scope: args.string('scope') ?? '',
      IPAM: { Driver: args.string('ipam-driver') ?? 'default', Config: ipamConfig(args) },
      Internal: args.boolean('internal'),
      Attachable: args.boolean('attachable'),
      Ingress: args.boolean('ingress'),
      ...(args.has('ipv4') && { EnableIPv4: args.boolean('ipv4') }),
      EnableIPv6: args.boolean('ipv6'),
      Options: parsePairs(args.list('opt')),
      Labels: parsePairs(args.list('label')),
    };
    const { Id, Warning } = await create<{ readonly Id: string; readonly Warning?: string }>({
      clients: await managersAt(client),
      ...{ path: '/networks/create', body, headers: {} },
      mention: (message) => output.error(`swarm: ${message}`),
      time: { now: () => performance.now(), pause: (ms) => delay(ms) },
    });
    if (Warning !== undefined && Warning !== '') output.error(Warning);
    output.line(Id);
    return 0;
  },
};

const LIST: List = {
  name: 'network ls',
  fields: {
    ID: 'NETWORK ID',
    Name: 'NAME',
    Driver: 'DRIVER',
    Scope: 'SCOPE',
    IPv6: 'IPV6',
    Internal: 'INTERNAL',
    Labels: 'LABELS',
    CreatedAt: 'CREATED AT',
  },
  hidden: ['IPv6', 'Internal', 'Labels', 'CreatedAt'],
  raw: {
    all: 'network_id: {{.ID}}\\nname: {{.Name}}\\ndriver: {{.Driver}}\\nscope: {{.Scope}}\\n',
    quiet: 'network_id: {{.ID}}',
  },
};

const LS: Command = {
  path: ['network', 'ls'],
  usage: '[OPTIONS]',
  about: 'List networks: those of the cluster, and those of the engine of this host.',
  flags: {
    filter: { type: 'list', short: 'f', about: 'filter output by key=value' },
    format: { type: 'string', about: 'json, table, raw or a Go template' },
    'no-trunc': { type: 'boolean', about: 'show whole ids' },
    quiet: { type: 'boolean', short: 'q', about: 'only show ids' },
  },
  least: 0,
  most: 0,
  examples: [
    { line: 'network ls --filter dangling=true', about: 'those that nothing uses' },
    { line: "network ls --format '{{.Name}} {{.Labels}}'", about: 'two fields per line' },
  ],
  async run({ args, client, output }) {
    const printer = await parseListFormat(args.string('format'), LIST, args.boolean('quiet'));
    const filters = filterMap(args.list('filter'));
    const networks = await client.get<ShownNetwork[]>('/networks', { filters });
    const sorted = [...networks].sort((a, b) =>
      a.Name.localeCompare(b.Name, 'en', { numeric: true }),
    );
    const idOf = ({ Id }: ShownNetwork) => (args.boolean('no-trunc') ? Id : Id.slice(0, ID_WIDTH));
    if (printer.isQuiet) {
      for (const network of sorted) output.line(shown(idOf(network)));
      return 0;
    }
    const rows = sorted.map((network) => ({
      ID: idOf(network),
      Name: network.Name,
      Driver: network.Driver,
      Scope: network.Scope,
      IPv6: String(network.EnableIPv6),
      Internal: String(network.Internal),
      Labels: Object.entries(network.Labels ?? {})
        .map(([key, value]) => `${key}=${value}`)
        .join(','),
      CreatedAt: network.Created,
    }));
    printer.print(output, rows);
    return 0;
  },
};

const INSPECT: Command = {
  path: ['network', 'inspect'],
  usage: '[OPTIONS] NETWORK [NETWORK...]',
  about: 'Show the details of one or more networks.',
  flags: {
    ...INSPECT_FLAGS,
    verbose: { type: 'boolean', short: 'v', about: 'with the services and tasks on it' },
  },
  least: 1,
  completes: ['network'],
  examples: [
    { line: 'network inspect -v --pretty backend', about: 'who is on it, for people' },
    { line: "network inspect -f '{{(index .IPAM.Config 0).Subnet}}' backend", about: 'its subnet' },
  ],
  run: (context) =>
    inspectAll(context, {
      read: (name) =>
        context.client.get<ShownNetwork>(`/networks/${encodeURIComponent(name)}`, {
          verbose: context.args.boolean('verbose') ? true : undefined,
        }),
      pretty: prettyNetwork,
      type: async () => (await import('../output/types/network.js')).NETWORK,
    }),
};

function connection(action: 'connect' | 'disconnect', about: string): Command {
  return {
    path: ['network', action],
    usage: '[OPTIONS] NETWORK TASK|CONTAINER',
    about,
    flags: {},
    notYet:
      action === 'disconnect'
        ? ['force']
        : ['alias', 'driver-opt', 'gw-priority', 'ip', 'ip6', 'link', 'link-local-ip'],
    least: 2,
    most: 2,
    completes: ['network', 'task'],
    examples: [{ line: `network ${action} backend web.1.abc`, about: 'a running task' }],
    async run({ args, client }) {
      const [network, Container] = args.positionals;
      await client.post(`/networks/${encodeURIComponent(network!)}/${action}`, undefined, {
        Container,
      });
      return 0;
    },
  };
}

const CONNECT = connection(
  'connect',
  'Connect a running task, or a container of this host, to an attachable network until it ends.',
);
const DISCONNECT = connection('disconnect', 'Disconnect a task or a container from a network.');

const RM: Command = {
  path: ['network', 'rm'],
  usage: '[OPTIONS] NETWORK [NETWORK...]',
  about: 'Remove one or more networks. A service that is being removed is waited for.',
  flags: {
    force: {
      type: 'boolean',
      short: 'f',
      about: 'no error for one that does not exist, no question about the ingress network',
    },
  },
  least: 1,
  completes: ['network'],
  run(context) {
    const { args, client, output, input } = context;
    const isAsked = input.isTTY === true && !args.boolean('force');
    return forEachName(context, async (name) => {
      const path = `/networks/${encodeURIComponent(name)}`;
      try {
        if (isAsked && (await client.get<ShownNetwork>(path)).Ingress) {
          const question = `No port of the cluster can be published until there is another ingress network. Remove ${shown(name)}?`;
          if (!(await isConfirmed(context, question))) return;
        }
        await client.delete(path);
      } catch (error) {
        const isGone = error instanceof DaemonError && error.status === 404;
        if (isGone && args.boolean('force')) return;
        throw error;
      }
      output.line(name);
    });
  },
};

const PRUNE: Command = {
  path: ['network', 'prune'],
  usage: '--force [OPTIONS]',
  about: 'Remove all networks that nothing uses, of the cluster and of the engine of this host.',
  flags: {
    filter: { type: 'list', about: 'which: until=TIME, label=KEY[=VALUE] or label!=KEY[=VALUE]' },
    force: { type: 'boolean', short: 'f', about: 'do it; without it, nothing is removed' },
  },
  least: 0,
  most: 0,
  examples: [{ line: 'network prune --force --filter until=24h', about: 'those older than a day' }],
  async run({ args, client, output }) {
    if (!args.boolean('force'))
      throw new UsageError(
        "this removes all networks that nothing uses: 'swarm network ls --filter dangling=true' shows them, --force removes them",
      );
    const filters = filterMap(args.list('filter'));
    const { NetworksDeleted: deleted } = await client.post<{
      readonly NetworksDeleted?: readonly string[] | null;
    }>('/networks/prune', { filters }, undefined);
    if ((deleted ?? []).length > 0) output.line('Deleted Networks:');
    for (const name of shown(deleted ?? [])) output.line(name);
    return 0;
  },
};

export const NETWORK_COMMANDS: readonly Command[] = [
  CONNECT,
  CREATE,
  DISCONNECT,
  INSPECT,
  LS,
  PRUNE,
  RM,
];
