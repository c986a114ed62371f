import type { MeshTrace, MeshTraceOutcome } from '@swarm/api';
import { type Command, type CommandContext, UsageError } from '../command.js';
import { jsonText, shown } from '../output/shown.js';
import { table } from '../output/table.js';
import { findEnd, findTarget, type MeshEnd, type MeshTarget } from './mesh-ends.js';

interface OwnInfo {
  readonly Swarm: { readonly NodeID: string; readonly NodeAddr: string };
  readonly Name?: string;
}

const TRACE: Command = {
  path: ['mesh', 'trace'],
  usage: '--from A --to B:PORT [OPTIONS]',
  about:
    'Show where this node leads a new connection: every task that it may reach, with its share, or why it is refused. Answers from what the node wrote to its kernel, and says whether the kernel still has it.',
  flags: {
    from: { type: 'string', value: 'end', about: 'a task, service, node or address' },
    to: {
      type: 'string',
      value: 'end:port',
      about:
        'a service, task, node or address with its port; :PORT for a published port of this node',
    },
    udp: { type: 'boolean', about: 'a UDP packet instead of a TCP connection' },
    node: {
      type: 'string',
      about: 'the node that should answer; only this one can, others are asked where they are',
      completes: 'node',
    },
    rules: { type: 'boolean', about: 'also print the rules that decided' },
    json: { type: 'boolean', about: 'print as JSON' },
  },
  least: 0,
  most: 0,
  examples: [
    { line: 'mesh trace --from web --to db:5432', about: 'from a task of web to the service db' },
    { line: 'mesh trace --from 192.0.2.7 --to :8080', about: "from a client to this node's port" },
    { line: 'mesh trace --from web.1 --to 10.0.1.9:53 --udp', about: 'a UDP packet' },
  ],
  async run(context) {
    const { args, client, output } = context;
    const info = await client.get<OwnInfo>('/info');
    refuseOther(context, info);
    const from = await findEnd(client, needed(context, 'from'));
    const to = await findTarget(client, needed(context, 'to'));
    const query = { ...addresses(from, to, info), protocol: args.boolean('udp') ? 'udp' : 'tcp' };
    const trace = await client.get<MeshTrace>('/x/mesh/trace', query);
    if (args.boolean('json')) output.line(jsonText(trace, 2));
    else for (const line of text(shown(trace), query, args.boolean('rules'))) output.line(line);
    return trace.Outcomes.every(
      ({ Fate }) => Fate === 'task' || Fate === 'host' || Fate === 'outside',
    )
      ? 0
      : 1;
  },
};

export const MESH_COMMANDS: readonly Command[] = [TRACE];

function needed({ args }: CommandContext, flag: string): string {
  const value = args.string(flag);
  if (value === undefined || value === '') throw new UsageError(`--${flag} is missing`);
  return value;
}

function refuseOther({ args }: CommandContext, { Swarm, Name }: OwnInfo): void {
  const node = args.string('node');
  if (node === undefined || node === 'self') return;
  if (node === Name || (node.length > 2 && Swarm.NodeID.startsWith(node))) return;
  throw new UsageError(
    `only ${Name ?? 'this node'} can answer here: each node knows its own rules. Run this command on ${node}`,
  );
}

/** The two addresses on a network of both, else the target's published port at this node. */
function addresses(
  from: MeshEnd,
  to: MeshTarget,
  { Swarm }: OwnInfo,
): { readonly from: string; readonly to: string; readonly port: number } {
  for (const [network, address] of from.addresses) {
    const target = to.addresses.get(network);
    if (target !== undefined) return { from: address, to: target, port: to.port };
  }
  const [first] = from.addresses.values();
  const source = from.addresses.get('') ?? first!;
  if (to.publishedPort !== undefined)
    return { from: source, to: Swarm.NodeAddr, port: to.publishedPort };
  const [target] = to.addresses.values();
  return { from: source, to: target!, port: to.port };
}

function text(
  { NodeID, Backend, Generation, TableAsWritten, Outcomes }: MeshTrace,
  query: {
    readonly from: string;
    readonly to: string;
    readonly port: number;
    readonly protocol: string;
  },
  withRules: boolean,
): string[] {
  const rows = Outcomes.map((outcome) => [
    `${(outcome.Probability * 100).toFixed(1)}%`,
    where(outcome),
    `${outcome.Address}:${outcome.Port}`,
    outcome.TaskID ?? '-',
    outcome.NodeID === undefined ? '-' : outcome.NodeID === NodeID ? 'this' : outcome.NodeID,
    outcome.Source,
  ]);
  const rules = Outcomes.flatMap(({ Address, Port, Rules }) => [
    `Rules on the way to ${Address}:${Port}:`,
    ...Rules.map((rule) => `  ${rule}`),
  ]);
  const kernel =
    TableAsWritten === undefined
      ? 'a proxy of the daemon, without rules'
      : TableAsWritten
        ? 'has the rules as written'
        : 'DOES NOT have the rules as written; the node is about to write them again';
  return [
    `${query.protocol} from ${query.from} to ${query.to}:${query.port}`,
    `Node:    ${NodeID} (${Backend}, state ${Generation})`,
    `Kernel:  ${kernel}`,
    '',
    table(['SHARE', 'WHERE', 'ADDRESS', 'TASK', 'NODE', 'SEEN AS'], rows),
    ...(withRules ? ['', ...rules] : []),
  ];
}

function where({ Fate, Reason }: MeshTraceOutcome): string {
  return Reason === undefined ? Fate : `${Fate}: ${Reason}`;
}
