import { PROGRAM } from '@swarm/api/program';

/** What a daemon reports about itself. */
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

/** What `swarm version` prints. A server's words contain no control characters at this point. */
export function versionText(server: ServerVersion | null): string {
  const client = clientVersion();
  const ours = `Client:\n Version:     ${client.Version}\n Node:        ${client.Node}\n OS/Arch:     ${client.Os}/${client.Arch}`;
  if (server === null) return `${ours}\n\nServer: no daemon responds`;
  return `${ours}\n\nServer:\n Version:     ${server.Version}\n API version: ${server.ApiVersion} (minimum ${server.MinAPIVersion})`;
}
