import {
  firewallCommands,
  firewallNote,
  type Node,
  pathFindings,
  ourCommands,
  type ShownService,
} from '@swarm/api/client';
import type { Command } from '../command.js';
import { shown } from '../output/shown.js';

/** What `swarm doctor` exits with when something is wrong. */
const TROUBLE_STATUS = 1;
const DATA_PATH_PORT = 4789;
const LISTEN_PORT = 2377;

interface ClusterInfo {
  readonly Swarm: {
    readonly Cluster?: { readonly DataPathPort?: number };
    readonly Warnings?: readonly string[] | null;
  };
}

/** Something wrong, and the way out. */
interface Finding {
  readonly text: string;
  /** Indented below the text: commands to run. */
  readonly lines?: readonly string[];
}

const DOCTOR: Command = {
  path: ['doctor'],
  usage: '',
  about: 'Look for what is wrong in the cluster: nodes, paths between them, ports, firewalls.',
  flags: {},
  least: 0,
  most: 0,
  examples: [{ line: 'doctor', about: 'exits with 1 when something is wrong' }],
  async run({ client, output }) {
    const info = shown(await client.get<ClusterInfo>('/info'));
    const nodes = shown(await client.get<Node[]>('/nodes'));
    const services = shown(await client.get<ShownService[]>('/services'));
    const findings = [
      ...clusterFindings(info),
      ...nodeFindings(nodes),
      ...tunnelFindings(nodes, info),
      ...portFindings(services),
    ];
    const advice = firewallFindings(nodes, info);
    for (const { text, lines = [] } of [...findings, ...advice]) {
      output.line(`- ${text}`);
      for (const line of lines) output.line(`    ${line}`);
    }
    if (findings.length > 0) return TROUBLE_STATUS;
    const what = advice.length > 0 ? 'nothing else is' : 'nothing is';
    output.line(
      `${what} wrong with ${nodes.length === 1 ? 'the node' : `the ${nodes.length} nodes`}`,
    );
    return 0;
  },
};

export const DOCTOR_COMMANDS: readonly Command[] = [DOCTOR];

function clusterFindings({ Swarm }: ClusterInfo): Finding[] {
  // What is said of paths is below, for all nodes.
  return (Swarm.Warnings ?? [])
    .filter((warning) => !warning.startsWith('WARNING: this node: '))
    .map((warning) => ({ text: ourCommands(warning.replace(/^WARNING: /, '')) }));
}

function nodeFindings(nodes: readonly Node[]): Finding[] {
  return nodes.flatMap((node) => {
    const { State, Message } = node.Status;
    const isUnreachable = node.ManagerStatus?.Reachability === 'unreachable';
    if (State !== 'ready' || isUnreachable) {
      const why = Message === undefined ? '' : `: ${ourCommands(Message)}`;
      const state = State === 'ready' ? 'unreachable as a manager' : State;
      return [
        {
          text: `${nameOf(node)} is ${state}${why}; start its daemon, or see whether other nodes reach ${node.Status.Addr}`,
        },
      ];
    }
    // Paths and ports follow by themselves: a path that both ends report is one finding.
    const { Paths, PortConflicts = [] } = node.Description ?? {};
    const isBelow = (Paths?.Problems ?? []).length + PortConflicts.length > 0;
    if (Message === undefined || (isBelow && !Message.startsWith('being '))) return [];
    return [{ text: `${nameOf(node)}: ${ourCommands(Message)}` }];
  });
}

function tunnelFindings(nodes: readonly Node[], info: ClusterInfo): Finding[] {
  const byId = new Map(nodes.map((node) => [node.ID, node]));
  const { dataPathPort } = portsOf(info);
  const nodeOf = (nodeId: string) => byId.get(nodeId);
  return pathFindings(nodes, { dataPathPort, nodeOf }).map(({ Text }) => ({ text: Text }));
}

function portFindings(services: readonly ShownService[]): Finding[] {
  return services.flatMap(({ Spec, PortConflicts }) =>
    (PortConflicts ?? []).map(({ Protocol, PublishedPort, Hostname, Reason }) => ({
      text: `port ${PublishedPort}/${Protocol} of ${Spec.Name} is not served on ${Hostname}: ${Reason}; stop that program, or publish another port`,
    })),
  );
}

/** A firewall may have all the rules that it needs: advice, which is nothing wrong by itself. */
function firewallFindings(nodes: readonly Node[], info: ClusterInfo): Finding[] {
  return nodes.flatMap((node) =>
    (node.Description?.Paths?.Firewalls ?? []).map((firewall) => {
      const listenPort = node.Description?.ListenPort ?? LISTEN_PORT;
      return {
        text: `on ${nameOf(node)} ${firewallNote(firewall)}; unless you have done so, run there as root:`,
        lines: firewallCommands(firewall, { ...portsOf(info), listenPort }),
      };
    }),
  );
}

function portsOf({ Swarm }: ClusterInfo): { dataPathPort: number } {
  return { dataPathPort: Swarm.Cluster?.DataPathPort ?? DATA_PATH_PORT };
}

function nameOf({ ID, Description, Spec }: Node): string {
  return Spec.Name || Description?.Hostname || ID;
}
