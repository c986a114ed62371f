import type { Node, PathProblem, PortConflict, VersionWindow } from '@swarm/api';
import { firewallNote, ourCommands } from '@swarm/api/client';
import { capital } from './capital.js';
import { goTime } from './time.js';

/** Formats a node for people, in Docker's order. */
export function prettyNode(node: Node): string {
  const description = node.Description;
  const lines = [`ID:\t\t\t${node.ID}`];
  const labels = Object.entries(node.Spec.Labels ?? {});
  if (labels.length > 0)
    lines.push('Labels:', ...labels.map(([key, value]) => ` - ${key}=${value}`));
  lines.push(
    `Hostname:              \t${description?.Hostname ?? ''}`,
    `Joined at:             \t${goTime(node.CreatedAt)}`,
    'Status:',
    ` State:\t\t\t${capital(node.Status.State)}`,
  );
  if (node.Status.Message !== undefined && node.Status.Message !== '')
    lines.push(` Message:\t\t${ourCommands(node.Status.Message)}`);
  lines.push(
    ` Availability:         \t${capital(node.Spec.Availability)}`,
    ` Address:\t\t${node.Status.Addr}`,
  );
  if (node.ManagerStatus !== undefined) {
    lines.push(
      'Manager Status:',
      ` Address:\t\t${node.ManagerStatus.Addr}`,
      ` Raft Status:\t\t${capital(node.ManagerStatus.Reachability)}`,
      ` Leader:\t\t${node.ManagerStatus.Leader === true ? 'Yes' : 'No'}`,
    );
  }
  if (description !== undefined) {
    lines.push(
      'Platform:',
      ` Operating System:\t${description.Platform.OS}`,
      ` Architecture:\t\t${description.Platform.Architecture}`,
      'Resources:',
      ` CPUs:\t\t\t${(description.Resources.NanoCPUs ?? 0) / 1e9}`,
      ` Memory:\t\t${((description.Resources.MemoryBytes ?? 0) / 1024 ** 3).toFixed(2)}GiB`,
      `Engine Version:\t\t${description.Engine.EngineVersion}`,
    );
    const { Program } = description;
    if (Program !== undefined)
      lines.push(
        `Swarm Version:\t\t${Program.Version}`,
        ` Protocols:\t\t${span(Program.Protocol)}`,
        ` Feature Levels:\t${span(Program.FeatureLevel)}`,
      );
    if (description.Runtime !== undefined) lines.push(`Runtime:\t\t${description.Runtime}`);
    if (description.MeshBackend !== undefined) lines.push(`Mesh:\t\t\t${description.MeshBackend}`);
    const conflicts = description.PortConflicts ?? [];
    if (conflicts.length > 0) lines.push('Ports Not Served:', ...conflicts.map(prettyConflict));
    const paths = description.Paths?.Problems ?? [];
    if (paths.length > 0) lines.push('Paths:', ...paths.map(prettyPath));
    const firewalls = description.Paths?.Firewalls ?? [];
    if (firewalls.length > 0)
      lines.push('Firewalls:', ...firewalls.map((one) => ` - ${firewallNote(one)}`));
  }
  return lines.join('\n');
}

function span({ Oldest, Newest }: VersionWindow): string {
  return Oldest === Newest ? `${Newest}` : `${Oldest} to ${Newest}`;
}

function prettyPath({ NodeID, Kind, Since }: PathProblem): string {
  const what = Kind === 'blocked' ? 'no packets' : 'small packets only';
  return ` ${NodeID}:\t${what}, since ${goTime(Since)}`;
}

function prettyConflict({ Protocol, PublishedPort, Reason }: PortConflict): string {
  return ` ${PublishedPort}/${Protocol}:\t\t${Reason}`;
}
