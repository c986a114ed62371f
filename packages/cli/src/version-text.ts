import { PROGRAM } from '@swarm/api/program';

/** What a daemon says of itself. */
export interface ServerVersion {
  readonly Version: string;
  readonly ApiVersion: string;
  readonly MinAPIVersion: string;
}

export function clientVersion() {
  return {
    Version: PROGRAM.Version,
    Node: process.version,
    Os: process.platform,
    Arch: process.arch,
  };
}

/** What `swarm version` prints. Nothing in a server's words is a control character any more. */
export function versionText(server: ServerVersion | null): string {
  const client = clientVersion();
  const ours = `Client:\n Version:     ${client.Version}\n Node:        ${client.Node}\n OS/Arch:     ${client.Os}/${client.Arch}`;
  if (server === null) return `${ours}\n\nServer: no daemon answers`;
  return `${ours}\n\nServer:\n Version:     ${server.Version}\n API version: ${server.ApiVersion} (minimum ${server.MinAPIVersion})`;
}
