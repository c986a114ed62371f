import { ourCommands } from '@swarm/api/client';
import { type ApiClient, DaemonUnreachableError } from '../client/api-client.js';
import type { Command } from '../command.js';
import { type FeatureLevel, featureLevelLine } from '../output/feature-level.js';
import { parseObjectFormat } from '../output/format.js';
import { shown } from '../output/shown.js';
import { goDuration } from '../output/time.js';
import { clientVersion, type ServerVersion, versionText } from '../version-text.js';

interface Info {
  readonly Name?: string;
  readonly ServerVersion?: string;
  readonly OperatingSystem?: string;
  readonly Architecture?: string;
  readonly NCPU?: number;
  readonly MemTotal?: number;
  readonly Swarm: {
    /** Of the daemon; with a Docker Engine, `ServerVersion` is the engine's. */
    readonly Version?: string;
    /** Containers of the engine that only hold a network. */
    readonly Sandboxes?: { readonly InUse: number; readonly Spare: number };
    readonly NodeID: string;
    readonly NodeAddr: string;
    readonly LocalNodeState: string;
    readonly ControlAvailable: boolean;
    readonly Error: string;
    readonly Nodes?: number;
    readonly Managers?: number;
    readonly RemoteManagers?: { Addr: string }[] | null;
    readonly Cluster?: {
      readonly ID: string;
      readonly DefaultAddrPool?: readonly string[] | null;
      readonly SubnetSize?: number;
      readonly DataPathPort?: number;
      readonly Spec: {
        readonly Orchestration: { readonly TaskHistoryRetentionLimit?: number };
        readonly Raft: {
          readonly SnapshotInterval?: number;
          readonly HeartbeatTick?: number;
          readonly ElectionTick?: number;
        };
        readonly Dispatcher: { readonly HeartbeatPeriod?: number };
        readonly CAConfig: { readonly NodeCertExpiry?: number };
        readonly HostPrivileges?: string;
      };
    };
    readonly FeatureLevel?: FeatureLevel;
    readonly Warnings?: string[] | null;
  };
}

const INFO: Command = {
  path: ['info'],
  usage: '[OPTIONS]',
  about: 'Show the state of the daemon and its cluster.',
  flags: { format: { type: 'string', short: 'f', about: 'json or a Go template' } },
  least: 0,
  most: 0,
  examples: [{ line: "info -f '{{.Swarm.LocalNodeState}}'", about: 'one field' }],
  async run({ args, client, output }) {
    const format = args.string('format') ?? '';
    const type = async () => (await import('../output/types/info.js')).INFO;
    const printer = format === '' ? undefined : await parseObjectFormat(format, type);
    const info = await client.get<Info>('/info');
    if (printer === undefined) output.line(prettyInfo(shown(info)));
    else printer.print(output, info);
    for (const warning of shown(info.Swarm.Warnings ?? [])) output.error(ourCommands(warning));
    return 0;
  },
};

const VERSION_COMMAND: Command = {
  path: ['version'],
  usage: '[OPTIONS]',
  about: 'Show the versions of client and daemon.',
  flags: { format: { type: 'string', short: 'f', about: 'json or a Go template' } },
  least: 0,
  most: 0,
  async run({ args, client, output }) {
    const format = args.string('format') ?? '';
    const type = async () => (await import('../output/types/info.js')).VERSIONS;
    const printer = format === '' ? undefined : await parseObjectFormat(format, type);
    const server = await serverVersion(client);
    if (printer === undefined) output.line(versionText(shown(server)));
    else printer.print(output, { Client: clientVersion(), Server: server });
    return 0;
  },
};

export const SYSTEM_COMMANDS: readonly Command[] = [INFO, VERSION_COMMAND];

async function serverVersion(client: ApiClient): Promise<ServerVersion | null> {
  try {
    return await client.get('/version');
  } catch (error) {
    if (error instanceof DaemonUnreachableError) return null;
    throw error;
  }
}

function prettyInfo(info: Info): string {
  const { Swarm: swarm } = info;
  const engine = info.ServerVersion ?? '';
  const version = swarm.Version ?? engine;
  const lines = [`Server Version: ${version}`];
  if (engine !== version) lines.push(`Docker Engine: ${engine}`);
  lines.push(`Swarm: ${swarm.LocalNodeState}`);
  if (swarm.LocalNodeState !== 'inactive') {
    lines.push(` NodeID: ${swarm.NodeID}`);
    if (swarm.Error !== '') lines.push(` Error: ${ourCommands(swarm.Error)}`);
    lines.push(` Is Manager: ${swarm.ControlAvailable}`);
    const cluster = swarm.Cluster;
    if (swarm.ControlAvailable && cluster !== undefined) {
      lines.push(
        ` ClusterID: ${cluster.ID}`,
        ` Managers: ${swarm.Managers ?? 0}`,
        ` Nodes: ${swarm.Nodes ?? 0}`,
        ` Default Address Pool: ${(cluster.DefaultAddrPool ?? []).join('  ')}`,
        ` SubnetSize: ${cluster.SubnetSize ?? 0}`,
        ` Data Path Port: ${cluster.DataPathPort ?? 0}`,
        ' Orchestration:',
        `  Task History Retention Limit: ${cluster.Spec.Orchestration.TaskHistoryRetentionLimit ?? 5}`,
        ' Raft:',
        `  Snapshot Interval: ${cluster.Spec.Raft.SnapshotInterval ?? 10000}`,
        ' Dispatcher:',
        `  Heartbeat Period: ${goDuration(cluster.Spec.Dispatcher.HeartbeatPeriod ?? 1e9)}`,
        ' CA Configuration:',
        `  Expiry Duration: ${goDuration(cluster.Spec.CAConfig.NodeCertExpiry ?? 0)}`,
        ` Host Privileges: ${cluster.Spec.HostPrivileges ?? 'none'}`,
      );
    }
    if (swarm.Sandboxes !== undefined) {
      const { InUse, Spare } = swarm.Sandboxes;
      lines.push(` Sandbox Containers: ${InUse} in use, ${Spare} spare`);
    }
    if (swarm.FeatureLevel !== undefined)
      lines.push(` Feature level: ${featureLevelLine(swarm.FeatureLevel)}`);
    lines.push(` Node Address: ${swarm.NodeAddr}`);
    const managers = swarm.RemoteManagers ?? [];
    if (managers.length > 0)
      lines.push(' Manager Addresses:', ...managers.map((manager) => `  ${manager.Addr}`).sort());
  }
  if (info.OperatingSystem !== undefined) lines.push(`Operating System: ${info.OperatingSystem}`);
  if (info.Architecture !== undefined) lines.push(`Architecture: ${info.Architecture}`);
  if (info.NCPU !== undefined) lines.push(`CPUs: ${info.NCPU}`);
  if (info.MemTotal !== undefined)
    lines.push(`Total Memory: ${(info.MemTotal / 1024 ** 3).toFixed(2)}GiB`);
  if (info.Name !== undefined) lines.push(`Name: ${info.Name}`);
  return lines.join('\n');
}
