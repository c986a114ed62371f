import { defaultDataRoot, type RaftStatusReply, showControls } from '@swarm/api/client';
import {
  type Arguments,
  type Command,
  type CommandContext,
  type Flags,
  UsageError,
} from '../command.js';
import type { MemberInspection } from '../local-node.js';
import type { Output } from '../output/output.js';
import { jsonText, shown } from '../output/shown.js';
import { table } from '../output/table.js';

const DATA_ROOT: Flags = {
  'data-root': {
    type: 'string',
    about: 'data folder of a daemon that is not running',
    completes: 'file',
  },
};

const STATUS: Command = {
  path: ['raft', 'status'],
  usage: '[OPTIONS]',
  about:
    "Show the state of a manager's Raft member: that of the running daemon, or offline with --data-root.",
  flags: { ...DATA_ROOT, json: { type: 'boolean', about: 'print as JSON' } },
  least: 0,
  most: 0,
  examples: [
    { line: 'raft status', about: 'the running daemon' },
    { line: 'raft status --data-root /var/lib/swarm', about: 'a daemon that is not running' },
  ],
  async run(context) {
    const { args, client, output } = context;
    if (args.has('data-root')) {
      const inspection = await inspect(context);
      output.line(args.boolean('json') ? jsonText(inspection.summary, 2) : offline(inspection));
      return inspection.problems.length === 0 ? 0 : 1;
    }
    const status = await client.get<RaftStatusReply>('/x/raft/status');
    output.line(args.boolean('json') ? jsonText(status, 2) : online(shown(status)));
    return 0;
  },
};

const INSPECT: Command = {
  path: ['raft', 'inspect'],
  usage: '[OPTIONS]',
  about: 'List the log entries in a data folder as changes, without secrets and keys.',
  flags: {
    ...DATA_ROOT,
    from: { type: 'string', about: 'first index to show' },
    to: { type: 'string', about: 'last index to show' },
  },
  least: 0,
  most: 0,
  async run(context) {
    const { args, output } = context;
    const range = rangeOf(args);
    const inspection = await inspect(context);
    output.line('INDEX\tTERM\tKIND\tBYTES\tWHAT');
    for (const { index, line } of inspection.entries())
      if (range(index)) output.line(showControls(line, '\t'));
    return report(inspection, output);
  },
};

const VERIFY: Command = {
  path: ['raft', 'verify'],
  usage: '[OPTIONS]',
  about:
    'Check the log and the state in a data folder: checksums, order, bounds, state against log. Exits with 1 if something is wrong.',
  flags: DATA_ROOT,
  least: 0,
  most: 0,
  async run(context) {
    const { output } = context;
    const inspection = await inspect(context);
    output.line(offline(inspection));
    return report(inspection, output);
  },
};

const DUMP: Command = {
  path: ['raft', 'dump'],
  usage: '[OPTIONS]',
  about: 'Print a data folder as JSON lines: a summary, then each entry. No secrets, no keys.',
  flags: DATA_ROOT,
  least: 0,
  most: 0,
  async run(context) {
    const { output } = context;
    const inspection = await inspect(context);
    output.line(jsonText(inspection.summary));
    for (const { data } of inspection.entries()) output.line(jsonText(data));
    return report(inspection, output);
  },
};

export const RAFT_COMMANDS: readonly Command[] = [STATUS, INSPECT, VERIFY, DUMP];

async function inspect({ args, env, uid, node }: CommandContext): Promise<MemberInspection> {
  const { inspectMember } = await node();
  return inspectMember(args.string('data-root') ?? defaultDataRoot(env, uid));
}

function report({ problems }: MemberInspection, output: Output): number {
  for (const problem of problems) output.error(`problem: ${showControls(problem)}`);
  return problems.length === 0 ? 0 : 1;
}

function rangeOf(args: Arguments): (index: number) => boolean {
  const from = indexOf(args, 'from') ?? 0;
  const to = indexOf(args, 'to') ?? Number.MAX_SAFE_INTEGER;
  return (index) => index >= from && index <= to;
}

function indexOf(args: Arguments, flag: string): number | undefined {
  const text = args.string(flag);
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text))
    throw new UsageError(`invalid argument '${text}' for --${flag}: use a log index`);
  return Number(text);
}

function online(status: RaftStatusReply): string {
  const { leader, members, removed } = status;
  const rows = members.map(({ info, role, match, reachable }) => [
    String(info.id),
    info.nodeId,
    info.address,
    info.id === leader?.id ? 'leader' : role,
    status.role === 'leader' ? String(match) : '-',
    status.role !== 'leader' ? '-' : reachable || info.id === status.id ? 'yes' : 'no',
  ]);
  return [
    `Cluster:  ${status.clusterId}`,
    `Member:   ${status.id} (${status.role})`,
    `Leader:   ${leader === undefined ? 'none' : `${leader.id} (${leader.address})`}`,
    `Term:     ${status.term}`,
    `Commit:   ${status.commit}`,
    `Applied:  ${status.applied}`,
    `Log:      ${status.firstIndex} to ${status.lastIndex}`,
    `Removed:  ${removed.length === 0 ? 'none' : removed.join(', ')}`,
    '',
    table(['MEMBER', 'NODE', 'ADDRESS', 'ROLE', 'MATCH', 'REACHABLE'], rows),
  ].join('\n');
}

function offline(inspection: MemberInspection): string {
  const found = shown(inspection.summary);
  const objects = Object.entries(found.objects).map(([kind, count]) => `${kind} ${count}`);
  const members = found.snapshot.members.map(({ id, address }) => `${id} (${address})`);
  return [
    `Cluster:  ${found.clusterId ?? 'unknown'}`,
    `Member:   ${found.memberId ?? 'unknown'} (not running)`,
    `Term:     ${found.term}, vote ${found.vote}`,
    `Commit:   at least ${found.commit}`,
    `Applied:  ${found.applied ?? 'unknown'}`,
    `Log:      ${found.firstIndex} to ${found.lastIndex}`,
    `Records:  ${found.records.count} (${found.records.first} to ${found.records.last}), opened ${found.opened} times`,
    `Members:  ${members.length === 0 ? 'none yet' : members.join(', ')} as of entry ${found.snapshot.index}`,
    `Objects:  ${objects.join(', ')}`,
    `Problems: ${found.problems.length === 0 ? 'none' : found.problems.length}`,
  ].join('\n');
}
