import { PROGRAM } from '@swarm/api/program';

/** What a daemon reports about itself. */
export interface ServerVersion {
  readonly Version: string;
  readonly ApiVersion: string;
  readonly MinAPIVersion: string;
  /** With a Docker Engine `Version` is the engine's, and ours is the component `Swarm`. */
  readonly Components?: readonly { readonly Name: string; readonly Version: string }[];
}

/** The versions of the daemon and of its Docker Engine, if it has one. */
export function serverVersions({ Version, Components = [] }: ServerVersion): {
  readonly swarm: string;
  readonly engine?: string;
} {
  const own = Components.find(({ Name }) => Name === 'Swarm');
  return own === undefined ? { swarm: Version } : { swarm: own.Version, engine: Version };
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
  const { swarm, engine } = serverVersions(server);
  const engineLine = engine === undefined ? '' : `\n Engine:      ${engine}`;
  return `${ours}\n\nServer:\n Version:     ${swarm}${engineLine}\n API version: ${server.ApiVersion} (minimum ${server.MinAPIVersion})`;
}
